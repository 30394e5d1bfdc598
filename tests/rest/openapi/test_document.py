"""The OpenAPI document: valid, public, and complete."""

from __future__ import annotations

import re
from typing import Any

import pytest_twisted
from openapi_spec_validator import OpenAPIV31SpecValidator

from kazoo_bridge import __version__
from kazoo_bridge.calls.command_schemas import COMMAND_SCHEMAS
from kazoo_bridge.rest.http.routing import make_app
from kazoo_bridge.rest.routes import build_resources
from tests.rest.harness import HOOK_DOCUMENT, RestHarness, hooks_path

_VERBS = {"get", "put", "post", "patch", "delete"}


async def fetch_document(rest: RestHarness) -> dict[str, Any]:
    answered = await rest("GET", "/openapi.json", token="")
    assert answered.code == 200
    document: dict[str, Any] = answered.json_body
    return document


def to_openapi_path(rule: str) -> str:
    """Return a path of Klein in OpenAPI's syntax."""
    return re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule)


@pytest_twisted.ensureDeferred
async def test_every_route_is_in_the_document_and_nothing_else(rest: RestHarness) -> None:
    routes: dict[str, set[str]] = {}
    for rule in make_app(build_resources(rest.node.rest_services())).url_map.iter_rules():
        verbs = {verb.lower() for verb in rule.methods or ()}
        # HEAD comes with GET, and OPTIONS is answered on every path.
        assert ("head" in verbs) == ("get" in verbs)
        routes.setdefault(to_openapi_path(rule.rule), set()).update(verbs - {"head", "options"})
    described = {path: set(operations) for path, operations in (await fetch_document(rest))["paths"].items()}
    assert described == routes
    assert set().union(*described.values()) <= _VERBS


@pytest_twisted.ensureDeferred
async def test_it_is_valid_openapi(rest: RestHarness) -> None:
    document = await fetch_document(rest)
    assert list(OpenAPIV31SpecValidator(document).iter_errors()) == []
    assert document["openapi"].startswith("3.1.")
    assert document["info"]["version"] == __version__
    assert document["servers"] == [{"url": "."}]


@pytest_twisted.ensureDeferred
async def test_every_operation_names_who_may_call_it(rest: RestHarness) -> None:
    document = await fetch_document(rest)
    open_to_all = {
        (verb, path)
        for path, operations in document["paths"].items()
        for verb, operation in operations.items()
        if not operation["security"] or {} in operation["security"]
    }
    for verb, path in open_to_all:
        # The URLs of pivot points contain a secret.
        logins = ("/v2/api_auth", "/v2/user_auth", "/v2/auth/tokeninfo")
        assert verb == "get" or path in logins or path.startswith("/pivot/")
        assert "account_id" not in path
    # The other operations refuse requests without a token.
    for path, operations in document["paths"].items():
        for verb in set(operations) - {verb for verb, open_path in open_to_all if open_path == path}:
            answered = await rest(verb.upper(), re.sub(r"\{\w+\}", "a" * 32, path), {}, token="")
            assert (answered.code, answered.json_body["message"]) == (401, "invalid_credentials"), (
                verb,
                path,
            )


@pytest_twisted.ensureDeferred
async def test_pages_of_other_origins_may_read_it(rest: RestHarness) -> None:
    answered = await rest("GET", "/openapi.json", token="")
    assert answered.headers.getRawHeaders("Access-Control-Allow-Origin") == ["*"]
    assert answered.headers.getRawHeaders("Content-Type") == ["application/json"]
    head = await rest("HEAD", "/openapi.json", token="")
    assert (head.code, head.text_body) == (200, "")
    assert head.headers.getRawHeaders("Content-Length") == [str(len(answered.text_body.encode()))]


@pytest_twisted.ensureDeferred
async def test_hook_documents_are_what_is_validated(rest: RestHarness) -> None:
    schemas = (await fetch_document(rest))["components"]["schemas"]
    keys = schemas["HookDocument"]["properties"]
    answered = await rest("PUT", hooks_path(), {**HOOK_DOCUMENT, "hook": "x", "retries": 5, "format": "xml"})
    errors = answered.json_body["data"]
    assert errors["hook"]["enum"]["target"] == keys["hook"]["enum"]
    assert errors["format"]["enum"]["target"] == keys["format"]["enum"]
    assert errors["retries"]["maximum"]["target"] == keys["retries"]["maximum"]
    kept = (await rest("PUT", hooks_path(), HOOK_DOCUMENT)).json_body["data"]
    defaults = {name: rules["default"] for name, rules in keys.items() if "default" in rules and name in kept}
    assert {name: kept[name] for name in defaults} == defaults
    assert len(defaults) == 6


@pytest_twisted.ensureDeferred
async def test_every_command_has_a_schema(rest: RestHarness) -> None:
    schemas = (await fetch_document(rest))["components"]["schemas"]
    around = [schemas[one["$ref"].rpartition("/")[2]] for one in schemas["Command"]["oneOf"]]
    assert [one["properties"]["action"]["const"] for one in around] == list(COMMAND_SCHEMAS)
    beside = [
        schemas[one["$ref"].rpartition("/")[2]]["properties"]["action"]["const"]
        for one in schemas["FlatCommand"]["oneOf"]
    ]
    assert set(COMMAND_SCHEMAS) - set(beside) == {"audio_level", "record_call"}
