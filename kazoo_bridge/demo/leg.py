"""One leg of a simulated call (a channel, in KAZOO), and its form in events and replies."""

from __future__ import annotations

from typing import Any

from attrs import Factory, define, field

from kazoo_bridge.demo.tenants import Party, Tenant
from kazoo_bridge.kazoo import to_gregorian

#: Name of the simulated switch's node.
SWITCH = "switchboard@switch.example.net"

_RESOURCE_ID = "5c1f0e9a7d3b48268f04b6e21c97da53"
_CARRIER = "carrier.example.net"

_CHANNEL_VARIABLES = (
    "Account-ID",
    "Authorizing-ID",
    "Authorizing-Type",
    "Bridge-ID",
    "CallFlow-ID",
    "Channel-Authorized",
    "Owner-ID",
    "Presence-ID",
    "Realm",
    "Reseller-ID",
    "Username",
)
_PARKING_KEYS = (
    "Call-ID",
    "Caller-ID-Name",
    "Caller-ID-Number",
    "Callee-ID-Name",
    "Callee-ID-Number",
    "Custom-Channel-Vars",
)


@define(eq=False)
class Leg:
    """The leg of `party`. An ``inbound`` leg calls the switch, an ``outbound`` leg is called by it.

    `created` and `answered` are in Unix seconds. `called_number` is the party that was called; `callee`
    changes with transfers. `peer` is the leg that this one is connected to or rings for. `media` has what
    commands have set: ``playing``, ``recording``, ``audio level``.
    """

    tenant: Tenant
    id: str
    bridge_id: str
    direction: str
    party: Party
    caller: Party
    callee: Party
    callflow_id: str
    created: float
    answered: float | None = None
    on_hold: bool = False
    peer: Leg | None = None
    media: dict[str, str] = field(factory=dict)
    called_number: Party = field(default=Factory(lambda leg: leg.callee, takes_self=True))

    def event(self, now: float) -> dict[str, Any]:
        """Return the body of a channel event; `now` is in Unix seconds."""
        host = self.tenant.realm if self.party.inside else _CARRIER
        return {
            **self._common(),
            "Request": self._to(),
            "Timestamp": to_gregorian(now),
            "Channel-Is-Loopback": False,
            "Channel-Name": f"sofia/sipinterface_1/{self.party.number}@{host}",
            "Switch-Nodename": SWITCH,
        }

    def parking(self, slot: str) -> dict[str, Any]:
        """Return the body of a parking event, which comes from a callflow and has fewer keys."""
        common = self._common()
        return {**{name: common[name] for name in _PARKING_KEYS}, "Parking-Slot": slot}

    def hangup_fields(self, now: float, cause: str, code: str) -> dict[str, Any]:
        """Return the additional keys of the last event; `now` is in Unix seconds, `code` the SIP status."""
        answered = now if self.answered is None else self.answered
        ringing, talking = int(answered - self.created), int(now - answered)
        return {
            "Hangup-Cause": cause,
            "Hangup-Code": code,
            "Ringing-Seconds": ringing,
            "Billing-Seconds": talking,
            "Duration-Seconds": ringing + talking,
        }

    def channel(self, now: float) -> dict[str, Any]:
        """Return the leg as in replies to queries; `now` is in Unix seconds."""
        variables = self.variables()
        return {
            **self._common(),
            **{name: variables[name] for name in _CHANNEL_VARIABLES if name in variables},
            "Answered": self.answered is not None,
            "Destination": self.called_number.number,
            "Elapsed-Seconds": int(now - self.created),
            "Is-Loopback": False,
            "Is-On-Hold": self.on_hold,
            "Media-Node": SWITCH,
            "Timestamp": to_gregorian(self.created),
        }

    def variables(self) -> dict[str, Any]:
        """Return the custom channel variables."""
        tenant, party = self.tenant, self.party
        variables = {
            "Account-ID": tenant.id,
            "Account-Name": tenant.name,
            "Account-Realm": tenant.realm,
            "Realm": tenant.realm,
            "Bridge-ID": self.bridge_id,
            "CallFlow-ID": self.callflow_id,
            "Channel-Authorized": "true",
            "Ecallmgr-Node": SWITCH,
            "Original-Number": self.called_number.number,
        }
        if tenant.reseller_id is not None:
            variables["Reseller-ID"] = tenant.reseller_id
        if party.device_id is not None and party.user_id is not None:
            variables |= {
                "Authorizing-ID": party.device_id,
                "Authorizing-Type": "device",
                "Owner-ID": party.user_id,
            }
            variables |= {
                "Username": party.sip_username or "",
                "Presence-ID": f"{party.number}@{tenant.realm}",
            }
        else:
            variables |= {
                "Resource-ID": _RESOURCE_ID,
                "Resource-Type": "offnet-origination",
                "Global-Resource": "true",
            }
        return variables

    def _common(self) -> dict[str, Any]:
        common = {
            "Call-ID": self.id,
            "Call-Direction": self.direction,
            "Caller-ID-Name": self.caller.name,
            "Caller-ID-Number": self.caller.number,
            "Callee-ID-Name": self.callee.name,
            "Callee-ID-Number": self.callee.number,
            "From": f"{self.caller.number}@{self.tenant.realm if self.caller.inside else _CARRIER}",
            "To": self._to(),
            "Custom-Channel-Vars": self.variables(),
            "Custom-Application-Vars": {},
        }
        return common if self.peer is None else {**common, "Other-Leg-Call-ID": self.peer.id}

    def _to(self) -> str:
        internal = self.called_number.inside or self.called_number.number == self.tenant.number
        return f"{self.called_number.number}@{self.tenant.realm if internal else _CARRIER}"
