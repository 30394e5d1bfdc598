"""Builds the requests for new calls, like KAZOO's own applications.

The format is that of ``kapi_resource`` in ``2600hz/kazoo``. What they contain follows ``cb_quickcall`` (a
person's telephones), ``cb_clicktocall`` and ``konami_transfer`` (a number), and ``spyvsspy`` (listening in).
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from kazoo_bridge.calls.kazoo_messages import Message
from kazoo_bridge.calls.new_calls.endpoints import SipEndpoint
from kazoo_bridge.calls.new_calls.request import EavesdropRequest, OriginateRequest

_NEW_CALLS = "callmgr"

#: The variables that stay with the call when it is transferred to the number.
_KEPT_VARIABLES = (
    "Account-ID",
    "Authorizing-ID",
    "Authorizing-Type",
    "Outbound-Callee-ID-Name",
    "Outbound-Callee-ID-Number",
    "Retain-CID",
)


def make_call_id(suffix: str) -> str:
    """Return a new call id; `suffix` says what the call is, as in KAZOO (``…-quickcall``)."""
    return f"{secrets.token_hex(16)}-{suffix}"


def originate_from_telephones(
    account_id: str, request: OriginateRequest, endpoints: Sequence[SipEndpoint], call_ids: Sequence[str]
) -> Message:
    """Build the request that lets telephones ring, and transfers the one that answers to ``to``.

    `call_ids` are those of the legs to the endpoints, one each.
    """
    listed = [
        {
            "Invite-Format": "username",
            "Endpoint-Type": "sip",
            "To-User": endpoint.username,
            "To-Username": endpoint.username,
            "To-Realm": endpoint.realm,
            "Outbound-Call-ID": call_id,
            "Endpoint-Timeout": request.timeout_s,
            "Custom-Channel-Vars": _present(
                {
                    "Account-ID": account_id,
                    "Authorizing-ID": endpoint.device_id,
                    "Authorizing-Type": "device" if endpoint.device_id else None,
                    "Owner-ID": endpoint.owner_id,
                    # Like quickcall: several telephones would all answer.
                    "Auto-Answer": True if request.auto_answer and len(endpoints) == 1 else None,
                }
            ),
            **({"Endpoint-ID": endpoint.device_id} if endpoint.device_id else {}),
        }
        for endpoint, call_id in zip(endpoints, call_ids, strict=True)
    ]
    variables = {"Authorizing-ID": request.from_id, "Authorizing-Type": request.from_type}
    return _originate(account_id, request, listed, call_ids[0], variables, "simultaneous")


def originate_from_number(account_id: str, realm: str, request: OriginateRequest, call_id: str) -> Message:
    """Build the request that calls a number as the account would, and transfers it to ``to``.

    `realm` is the account's; empty if it is not known.
    """
    variables = {"Authorizing-ID": account_id, "Authorizing-Type": "account"}
    uris = {
        "Loopback-Request-URI": f"{request.from_id}@{realm}",
        "From-URI": f"{request.to}@{realm}",
        "Request-URI": f"{request.from_id}@{realm}",
    }
    endpoint = {
        "Invite-Format": "loopback",
        "Route": request.from_id,
        "To-DID": request.from_id,
        "To-Realm": realm or None,
        "Outbound-Call-ID": call_id,
        "Endpoint-Timeout": request.timeout_s,
        "Custom-Channel-Vars": {"Account-ID": account_id, **variables, **(uris if realm else {})},
    }
    return _originate(account_id, request, [_present(endpoint)], call_id, variables, "single")


def eavesdrop(account_id: str, request: EavesdropRequest, device_id: str) -> Message:
    """Build the request that lets a device ring, and connects it to a call of the account."""
    body = {
        "Event-Category": "resource",
        "Event-Name": "eavesdrop_req",
        "Account-ID": account_id,
        "Endpoint-ID": device_id,
        "Eavesdrop-Call-ID": request.call_id,
        "Eavesdrop-Mode": request.mode,
        "Endpoint-Timeout": request.timeout_s,
    }
    return _NEW_CALLS, "eavesdrop.resource.req", body


def _originate(
    account_id: str,
    request: OriginateRequest,
    endpoints: Sequence[Mapping[str, Any]],
    call_id: str,
    variables: Mapping[str, str],
    method: str,
) -> Message:
    body = {
        "Event-Category": "resource",
        "Event-Name": "originate_req",
        "Application-Name": "transfer",
        "Application-Data": {"Route": request.to},
        "Continue-On-Fail": False,
        "Custom-Channel-Vars": {
            "Account-ID": account_id,
            "Inherit-Codec": "false",
            **variables,
            "Retain-CID": "true" if request.caller_id_number else "false",
        },
        "Dial-Endpoint-Method": method,
        "Endpoints": list(endpoints),
        "Export-Custom-Channel-Vars": list(_KEPT_VARIABLES),
        "Ignore-Early-Media": True,
        "Media": "process",
        "Outbound-Call-ID": call_id,
        # The telephone that rings shows the number that it will be connected to.
        "Outbound-Caller-ID-Name": request.to,
        "Outbound-Caller-ID-Number": request.to,
        # The switch makes these the identity of the caller when it transfers the call.
        "Outbound-Callee-ID-Name": request.caller_id_name,
        "Outbound-Callee-ID-Number": request.caller_id_number,
        "Timeout": request.timeout_s,
    }
    return _NEW_CALLS, "originate.resource.req", _present(body)


def _present(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}
