from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from io import BytesIO
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.web.test.requesthelper import DummyRequest

from kazoo_bridge.interfaces import Account, Principal, StorageUnavailable
from kazoo_bridge.rest.http import request_context
from kazoo_bridge.rest.http.errors import ApiError
from kazoo_bridge.rest.http.request_body import BodyLimits, parse_body
from kazoo_bridge.rest.http.request_context import RequestContext, Response, handle_request
from tests.rest.fakes import FakeDirectory
from tests.rest.harness import HOOK_DOCUMENT, RestHarness, hooks_path


@pytest_twisted.ensureDeferred
async def test_where_a_token_may_stand(rest: RestHarness) -> None:
    good = rest.token
    assert (await rest("GET", f"{hooks_path()}?auth_token={good}", token="")).code == 200
    assert (
        await rest("GET", hooks_path(), token="", headers={"Authorization": f"Bearer {good}"})
    ).code == 200
    body = json.dumps({"data": HOOK_DOCUMENT, "auth_token": good}).encode()
    assert (await rest("PUT", hooks_path(), token="", raw=body)).code == 201
    in_data = json.dumps({"data": {**HOOK_DOCUMENT, "auth_token": good}}).encode()
    made = await rest("PUT", hooks_path(), token="", raw=in_data)
    assert made.code == 201
    assert "auth_token" not in made.json_body["data"]


@pytest_twisted.ensureDeferred
async def test_a_request_id_is_kept(rest: RestHarness) -> None:
    assert (await rest("GET", "/v2/webhooks", headers={"X-Request-ID": "mine-1"})).json_body[
        "request_id"
    ] == "mine-1"
    assert (await rest("GET", "/v2/webhooks", headers={"X-Request-ID": "no good"})).json_body[
        "request_id"
    ] != "no good"


@pytest_twisted.ensureDeferred
async def test_a_storage_that_does_not_answer(rest: RestHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest.node.database, "read", lambda work: fail(StorageUnavailable("gone")))
    answered = await rest("GET", hooks_path())
    assert (answered.code, answered.json_body["message"]) == (503, "datastore_fault")


@pytest_twisted.ensureDeferred
async def test_a_defect_is_reported_without_its_details(
    rest: RestHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rest.node.database, "read", lambda work: fail(RuntimeError("hunter2")))
    with capturedLogs():
        answered = await rest("GET", hooks_path())
    assert answered.code == 500
    assert "hunter2" not in answered.text_body
    assert answered.json_body["request_id"] in answered.text_body


def make_context(
    method: bytes = b"GET",
    uri: bytes = b"/x",
    body: bytes = b"",
    headers: dict[bytes, bytes] | None = None,
    on_authenticated: Callable[[str, str | None], None] = lambda _token, _account_id: None,
    on_written: Callable[[], Awaitable[None]] | None = None,
) -> RequestContext:
    request: Any = DummyRequest([])
    request.method, request.uri, request.path = method, uri, uri.partition(b"?")[0]
    request.content = BytesIO(body)
    for name, value in (headers or {}).items():
        request.requestHeaders.addRawHeader(name, value)
    clock = Clock()
    clock.advance(1_700_000_000)
    context = RequestContext(request, "node", clock, on_authenticated, on_written=on_written)
    context.parse_query()
    return context


async def answer(context: RequestContext, handler: Callable[[RequestContext], Awaitable[Response]]) -> Any:
    return json.loads(await handle_request(context, handler))


async def hello(_: RequestContext) -> Response:
    return Response("hello", metadata={"page_size": 1})


def test_the_body_is_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[object] = []

    def count(content: Any, limits: BodyLimits) -> dict[str, Any]:
        parsed.append(content)
        return parse_body(content, limits)

    monkeypatch.setattr(request_context, "parse_body", count)
    context = make_context(b"POST", body=b'{"verb": "put", "data": {"a": 1}}')
    assert context.overridden_method() == "PUT"
    assert (context.data, context.envelope["verb"]) == ({"a": 1}, "put")
    broken = make_context(b"POST", body=b'{"verb"')
    assert broken.overridden_method() is None
    for _ in range(2):
        with pytest.raises(ApiError, match="400"):
            _ = broken.envelope
    assert len(parsed) == 2


def test_a_body_is_only_read_of_methods_that_have_one() -> None:
    assert make_context(b"GET", body=b"nonsense").envelope == {}
    carried = make_context(b"POST", b"/x?verb=get", body=b'{"auth_token": "t"}')
    carried.request.method = b"GET"
    assert carried.envelope == {"auth_token": "t"}


@pytest.mark.parametrize(
    ("uri", "headers", "token"),
    [
        (b"/x", {}, None),
        (b"/x?auth_token=q", {}, "q"),
        (b"/x?auth_token=", {}, None),
        (b"/x?auth_token=q", {b"authorization": b"Bearer  b"}, "b"),
        (b"/x", {b"authorization": b"Basic b"}, None),
        (b"/x?auth_token=q", {b"authorization": b"bearer b", b"x-auth-token": b" h "}, "h"),
    ],
)
def test_the_token_of_the_head(uri: bytes, headers: dict[bytes, bytes], token: str | None) -> None:
    assert make_context(uri=uri, headers=headers).header_token() == token


@pytest_twisted.ensureDeferred
async def test_a_successful_response_has_kazoos_envelope() -> None:
    context = make_context(headers={b"x-request-id": b"mine"})
    assert await answer(context, hello) == {
        "data": "hello",
        "page_size": 1,
        "node": "node",
        "request_id": "mine",
        "status": "success",
        "timestamp": "2023-11-14T22:13:20Z",
    }


@pytest.mark.parametrize(("method", "waits"), [(b"GET", False), (b"PUT", True), (b"DELETE", True)])
def test_a_request_that_may_write_is_answered_once_other_processes_know_it(
    method: bytes, waits: bool
) -> None:
    known: Deferred[None] = Deferred()

    async def when_known() -> None:
        await known

    answers: list[Any] = []
    context = make_context(method, on_written=when_known)
    Deferred.fromCoroutine(answer(context, hello)).addCallback(answers.append)
    assert bool(answers) is not waits
    known.callback(None)
    assert answers[0]["data"] == "hello"


@pytest_twisted.ensureDeferred
async def test_a_valid_token_is_reported_and_returned() -> None:
    tried: list[tuple[str, str | None]] = []

    def on_authenticated(token: str, account_id: str | None) -> None:
        tried.append((token, account_id))

    directory = FakeDirectory({"a": Account("a", "", "")}, {"good": Principal("a")})
    context = make_context(
        b"POST", body=b'{"data": {"auth_token": "good"}}', on_authenticated=on_authenticated
    )
    await context.authenticate(directory)
    assert (context.token, context.principal, tried) == ("good", Principal("a"), [("good", "a")])
    assert (await answer(context, hello))["auth_token"] == "good"
    refused = make_context(b"GET", b"/x?auth_token=bad", on_authenticated=on_authenticated)
    with pytest.raises(ApiError, match="401"):
        await refused.authenticate(directory)
    assert (refused.token, refused.principal, tried[1:]) == (None, None, [("bad", None)])


@pytest_twisted.ensureDeferred
async def test_authorization_needs_rights_and_an_existing_account() -> None:
    directory = FakeDirectory(
        {"a": Account("a", "", "")}, {"good": Principal("a"), "root": Principal("r", True)}
    )
    for token, account_id, status in (("good", "a", None), ("good", "b", 403), ("root", "b", 404)):
        context = make_context(headers={b"x-auth-token": token.encode()})
        await context.authenticate(directory)
        if status is None:
            await context.authorize(directory, account_id)
            continue
        with pytest.raises(ApiError) as refused:
            await context.authorize(directory, account_id)
        assert refused.value.status == status


@pytest_twisted.ensureDeferred
async def test_an_unexpected_error_is_logged_and_not_shown() -> None:
    async def fail(_: RequestContext) -> Response:
        raise RuntimeError("hunter2")

    context = make_context(headers={b"x-request-id": b"mine"})
    with capturedLogs() as logs:
        envelope = await answer(context, fail)
    assert (envelope["error"], envelope["message"]) == ("500", "unspecified_fault")
    assert "hunter2" not in str(envelope)
    (event,) = logs
    assert (event["request_id"], event["log_failure"].getErrorMessage()) == ("mine", "hunter2")
