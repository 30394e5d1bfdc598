"""Login, accounts and their relatives, and accounts' own limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import fields

from kazoo_bridge.interfaces import AccountLimits
from kazoo_bridge.rest.openapi.envelopes import GREGORIAN, list_of, make_body, make_page, make_response, ref
from kazoo_bridge.rest.openapi.operations import Access, Operation
from kazoo_bridge.rest.openapi.parameters import FILTERS, PAGES
from kazoo_bridge.rest.resources.account_changes import MAX_NAME, MAX_REALM
from kazoo_bridge.rest.resources.limits import LIMIT_SCHEMA

_TEXT = {"type": "string"}
_COUNT = {"type": "integer", "minimum": 0}


def _account(*required: str, **more: Any) -> dict[str, Any]:
    properties = {"id": ref("AccountId"), "name": _TEXT, **more}
    return {"type": "object", "required": ["id", "name", *required], "properties": properties}


_LIMITS = [limit.name for limit in fields(AccountLimits)]


def _limits(limit: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": dict.fromkeys(_LIMITS, limit), "additionalProperties": False}


SCHEMAS: Mapping[str, Any] = {
    "AccountId": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
    "Login": {
        "type": "object",
        "required": ["account_id"],
        "properties": {
            "account_id": ref("AccountId"),
            "account_name": _TEXT,
            "expires": {**GREGORIAN, "description": "When the token expires; left out if it does not"},
            "reseller_id": ref("AccountId"),
        },
    },
    "Account": _account("realm", realm=_TEXT, reseller_id=ref("AccountId")),
    "AccountName": _account(),
    "ApiKeyState": {
        "type": "object",
        "required": ["has_api_key"],
        "properties": {"has_api_key": {"type": "boolean"}},
    },
    "AccountToken": {
        "type": "object",
        "required": ["id", "created", "api_key", "restricted", "current"],
        "properties": {
            "id": {"type": "string", "description": "A digest of the token, which itself is not stored"},
            "created": GREGORIAN,
            "expires": {**GREGORIAN, "description": "When the token expires; left out if it does not"},
            "api_key": {"type": "boolean", "description": "Whether it was made with an API key"},
            "restricted": {"type": "boolean", "description": "Whether it has restrictions"},
            "current": {"type": "boolean", "description": "Whether it is the token of the request"},
        },
    },
    "TokenId": {"type": "object", "required": ["id"], "properties": {"id": _TEXT}},
    "ApiKey": {"type": "object", "required": ["api_key"], "properties": {"api_key": _TEXT}},
    "Child": _account("realm", "descendants_count", realm=_TEXT, descendants_count=_COUNT),
    "Descendant": _account("realm", "tree", realm=_TEXT, tree=list_of(ref("AccountId"))),
    "Limits": _limits(LIMIT_SCHEMA),
}

_A = "/v2/accounts/{account_id}"
_FIELDS = {
    "name": {**_TEXT, "minLength": 1, "maxLength": MAX_NAME},
    "realm": {**_TEXT, "maxLength": MAX_REALM},
}
_NEW_ACCOUNT = make_body({"type": "object", "required": ["name"], "properties": _FIELDS})
_ACCOUNT_CHANGES = make_body({"type": "object", "properties": _FIELDS})
_OWN_LIMITS = f"{_A}/configs/webhooks"
_NULLABLE_LIMITS = make_body(_limits({"anyOf": [LIMIT_SCHEMA, {"type": "null"}]}))


def _limit(
    method: str, operation_id: str, summary: str, description: str, given: Mapping[str, Any] | None = None
) -> Operation:
    return Operation(
        method,
        _OWN_LIMITS,
        operation_id,
        "limits",
        summary,
        {200: make_response(description, ref("Limits"))},
        body=given,
    )


OPERATIONS = (
    Operation(
        "put",
        "/v2/api_auth",
        "logIn",
        "login",
        "Creates a token for an API key",
        {
            201: make_response(
                "The token is auth_token, beside data",
                ref("Login"),
                auth_token={"type": "string"},
                version=_TEXT,
            )
        },
        body=make_body({"type": "object", "required": ["api_key"], "properties": {"api_key": _TEXT}}),
        access=Access.ANY_CLIENT,
        refusals=(401,),
    ),
    Operation(
        "put",
        "/v2/user_auth",
        "logInUser",
        "login",
        "Creates a token for a user of KAZOO, where the directory knows users",
        {
            201: make_response(
                "The token is auth_token, beside data; data is KAZOO's",
                {"type": "object", "additionalProperties": True},
                auth_token={"type": "string"},
                version=_TEXT,
            )
        },
        body=make_body(
            {
                "type": "object",
                "required": ["credentials"],
                "properties": {
                    "credentials": {**_TEXT, "description": "MD5 or SHA1 of user:password"},
                    "method": {**_TEXT, "description": "md5 or sha"},
                    "account_name": _TEXT,
                    "account_realm": _TEXT,
                    "phone_number": _TEXT,
                },
            }
        ),
        access=Access.ANY_CLIENT,
        refusals=(401,),
    ),
    Operation(
        "delete",
        "/v2/token_auth",
        "logOut",
        "login",
        "Ends the token",
        {200: make_response("Nothing", {"type": "object"})},
        refusals=(403,),
    ),
    Operation(
        "get",
        "/v2/token_auth",
        "describeToken",
        "login",
        "The account of the token",
        {200: make_response("The token's account", ref("Login"))},
        refusals=(403,),
    ),
    Operation(
        "get",
        _A,
        "readAccount",
        "accounts",
        "The account",
        {200: make_response("The account", ref("Account"))},
    ),
    Operation(
        "put",
        "/v2/accounts",
        "createAccountBelowOwn",
        "accounts",
        "Creates an account below the token's",
        {201: make_response("The account", ref("Account"))},
        body=_NEW_ACCOUNT,
        refusals=(403,),
    ),
    Operation(
        "put",
        _A,
        "createAccount",
        "accounts",
        "Creates an account below the account",
        {201: make_response("The account", ref("Account"))},
        body=_NEW_ACCOUNT,
    ),
    Operation(
        "post",
        _A,
        "replaceAccount",
        "accounts",
        "Changes the account; without a realm it keeps its own",
        {200: make_response("The account", ref("Account"))},
        body=_NEW_ACCOUNT,
    ),
    Operation(
        "patch",
        _A,
        "changeAccount",
        "accounts",
        "Changes the given keys of the account",
        {200: make_response("The account", ref("Account"))},
        body=_ACCOUNT_CHANGES,
    ),
    Operation(
        "delete",
        _A,
        "deleteAccount",
        "accounts",
        "Deletes the account with its hooks, numbers, tokens and API keys; only accounts above it may",
        {200: make_response("The account as it was", ref("Account"))},
        refusals=(409,),
    ),
    Operation(
        "get",
        f"{_A}/api_key",
        "readApiKey",
        "accounts",
        "Whether the account has an API key, which is not stored itself",
        {200: make_response("Whether it has one", ref("ApiKeyState"))},
    ),
    Operation(
        "put",
        f"{_A}/api_key",
        "renewApiKey",
        "accounts",
        "Creates an API key; former ones end, with the tokens that were created with them",
        {201: make_response("The key, shown only here", ref("ApiKey"))},
    ),
    Operation(
        "get",
        f"{_A}/tokens",
        "listTokens",
        "accounts",
        "The stored tokens of the account that are valid, newest first, by digests; the newest 1000",
        {200: make_page("Tokens", ref("AccountToken"))},
    ),
    Operation(
        "delete",
        f"{_A}/tokens/{{token_id}}",
        "revokeToken",
        "accounts",
        "Ends a token of the account, also on open sockets; restricted tokens end none",
        {200: make_response("The id of the token", ref("TokenId"))},
    ),
    Operation(
        "get",
        f"{_A}/parents",
        "listParents",
        "accounts",
        "The ancestors of the account, top first; from the token's own account down if that is one of them",
        {200: make_response("The ancestors", list_of(ref("AccountName")), page_size=_COUNT)},
    ),
    Operation(
        "get",
        f"{_A}/tree",
        "listTree",
        "accounts",
        "The ancestors from the token's own account down to the parent; for super-admins from the top",
        {200: make_response("The ancestors", list_of(ref("AccountName")))},
    ),
    Operation(
        "get",
        f"{_A}/children",
        "listChildren",
        "accounts",
        "The accounts whose parent is the account, by name",
        {200: make_page("Accounts", ref("Child"))},
        (*FILTERS, *PAGES),
    ),
    Operation(
        "get",
        f"{_A}/descendants",
        "listDescendants",
        "accounts",
        "All accounts below the account, by name",
        {200: make_page("Accounts", ref("Descendant"))},
        (*FILTERS, *PAGES),
    ),
    _limit(
        "get",
        "readLimits",
        "The limits of the account that differ from the configuration's",
        "The limits",
    ),
    _limit(
        "post",
        "replaceLimits",
        "Sets all limits; only accounts above the account may",
        "The limits",
        _NULLABLE_LIMITS,
    ),
    _limit(
        "patch",
        "changeLimits",
        "Sets some limits; null returns to the configuration's",
        "The limits",
        _NULLABLE_LIMITS,
    ),
    _limit("delete", "removeLimits", "Returns to the configuration's limits", "The limits as they were"),
)
