"""Signed hooks over REST: secrets are shown once, and the snippets of the documentation verify signatures."""

from __future__ import annotations

import importlib.util
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.logger import capturedLogs

from kazoo_bridge.webhooks.hooks.signing_keys import ED25519, generate_secret, parse_key
from tests.rest.harness import ACCOUNT, HOOK_DOCUMENT, STRANGER, RestHarness, hooks_path
from tests.webhooks.receiving import Received, Receiver

SNIPPETS = Path(__file__).parents[3] / "docs" / "snippets"
Verify = Callable[[str, dict[str, str], bytes], bool]


def _python(name: str = "verify") -> Verify:
    spec = importlib.util.spec_from_file_location(name, SNIPPETS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    verify: Verify = module.verify
    return verify


def _program(command: list[str]) -> Verify:
    def verify(secret: str, headers: dict[str, str], body: bytes) -> bool:
        given = json.dumps({"secret": secret, "headers": headers, "body": body.decode()})
        done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=30, check=True)
        return {"yes": True, "no": False}[done.stdout.strip()]

    return verify


_PHP = f"""
require '{SNIPPETS}/verify.php';
$given = json_decode(stream_get_contents(STDIN), true);
echo verify($given['secret'], $given['headers'], $given['body']) ? 'yes' : 'no';
"""
_NODE = f"""
const {{ verify }} = require('{SNIPPETS}/verify.js');
const given = JSON.parse(require('fs').readFileSync(0));
console.log(verify(given.secret, given.headers, Buffer.from(given.body)) ? 'yes' : 'no');
"""
VERIFIERS = {
    "python": _python(),
    "php": _program(["php", "-r", _PHP]),
    "node": _program(["node", "-e", _NODE]),
}


async def sent(rest: RestHarness, receiver: Receiver, hook_id: str) -> Received:
    assert (await rest("POST", f"{hooks_path(hook_id=hook_id)}/test")).code == 200
    return receiver.received[-1]


PUBLIC_KEY_VERIFIERS = {
    "python": _python("verify_ed25519"),
    "php": _program(["php", "-r", _PHP.replace("verify.php", "verify_ed25519.php")]),
    "node": _program(["node", "-e", _NODE.replace("verify.js", "verify_ed25519.js")]),
}


@pytest.mark.parametrize("language", VERIFIERS)
@pytest_twisted.ensureDeferred
async def test_receivers_verify_what_they_get(rest: RestHarness, receiver: Any, language: str) -> None:
    verify = VERIFIERS[language]
    made = (
        await rest(
            "PUT", hooks_path(), {**HOOK_DOCUMENT, "uri": receiver.url, "format": "json", "secret": True}
        )
    ).json_body["data"]
    secret, hook_id = made["secret"], made["id"]
    request = await sent(rest, receiver, hook_id)
    assert verify(secret, request.headers, request.body)
    assert not verify(secret, request.headers, request.body + b" ")
    assert not verify(secret, {**request.headers, "webhook-id": "msg_other"}, request.body)
    assert not verify(
        secret,
        {**request.headers, "webhook-timestamp": str(int(request.headers["webhook-timestamp"]) - 301)},
        request.body,
    )
    assert not verify(generate_secret(), request.headers, request.body)
    assert not verify(
        secret,
        {name: value for name, value in request.headers.items() if name != "webhook-signature"},
        request.body,
    )
    rotated = await rest("POST", f"{hooks_path(hook_id=hook_id)}/secret")
    assert rotated.code == 201
    request = await sent(rest, receiver, hook_id)
    assert verify(secret, request.headers, request.body)
    assert verify(rotated.json_body["data"]["secret"], request.headers, request.body)


@pytest.mark.parametrize("language", PUBLIC_KEY_VERIFIERS)
@pytest_twisted.ensureDeferred
async def test_receivers_verify_with_a_public_key(rest: RestHarness, receiver: Any, language: str) -> None:
    verify = PUBLIC_KEY_VERIFIERS[language]
    document = {**HOOK_DOCUMENT, "uri": receiver.url, "secret": True, "signature": "ed25519"}
    made = (await rest("PUT", hooks_path(), document)).json_body["data"]
    assert (made["signed"], made["signature"], "secret" in made) == (True, "ed25519", False)
    path, public_key = hooks_path(hook_id=made["id"]), made["public_key"]
    request = await sent(rest, receiver, made["id"])
    assert verify(public_key, request.headers, request.body)
    assert not verify(public_key, request.headers, request.body + b" ")
    assert not verify(public_key, {**request.headers, "webhook-id": "msg_other"}, request.body)
    assert not verify(parse_key(generate_secret(ED25519)).public_key, request.headers, request.body)
    unsigned = {name: value for name, value in request.headers.items() if name != "webhook-signature"}
    assert not verify(public_key, unsigned, request.body)
    rotated = (await rest("POST", f"{path}/secret", {"signature": "hmac"})).json_body["data"]
    request = await sent(rest, receiver, made["id"])
    assert verify(public_key, request.headers, request.body)
    assert VERIFIERS["python"](rotated["secret"], request.headers, request.body)


@pytest_twisted.ensureDeferred
async def test_a_private_key_is_never_shown(rest: RestHarness, receiver: Any) -> None:
    secret = generate_secret(ED25519)
    document = {**HOOK_DOCUMENT, "uri": receiver.url, "secret": secret}
    made = await rest("PUT", hooks_path(), document)
    path = hooks_path(hook_id=made.json_body["data"]["id"])
    answers = [made, await rest("GET", path), await rest("POST", f"{path}/secret", {"secret": secret})]
    answers.append(await rest("POST", path, answers[1].json_body["data"]))
    answers.append(await rest("DELETE", path))
    for answer in answers:
        assert answer.code in (200, 201)
        assert "whsk_" not in answer.text_body
        assert answer.json_body["data"]["public_key"] == parse_key(secret).public_key


@pytest_twisted.ensureDeferred
async def test_a_secret_is_shown_once_and_neither_logged_nor_published(
    rest: RestHarness, receiver: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    published: list[Any] = []
    publish = rest.node.bus.publish

    def record(*arguments: Any, **options: Any) -> Any:
        published.append(arguments)
        return publish(*arguments, **options)

    monkeypatch.setattr(rest.node.bus, "publish", record)
    secret = generate_secret()
    with capturedLogs() as logs:
        document = {**HOOK_DOCUMENT, "uri": receiver.url, "secret": secret}
        created = (await rest("PUT", hooks_path(), document)).json_body["data"]
        assert (created["secret"], created["signed"]) == (secret, True)
        path = hooks_path(hook_id=created["id"])
        for verb, target, data in (
            ("GET", path, None),
            ("GET", hooks_path(), None),
            ("PATCH", path, {"name": "other"}),
            ("POST", f"{path}/test", None),
            ("GET", f"{path}/attempts", None),
            ("GET", f"{hooks_path()}?filter_secret={secret.replace('+', '%2B')}", None),
            ("PATCH", path, {"secret": f"x{secret}"}),
            ("DELETE", path, None),
        ):
            assert secret not in (await rest(verb, target, data)).text_body, (verb, target)
    assert [event for event in logs if "log_format" in event]
    assert secret not in str(logs)
    assert published
    assert secret not in str(published)


@pytest_twisted.ensureDeferred
async def test_what_was_read_is_written_back_and_stays_signed(rest: RestHarness) -> None:
    made = (await rest("PUT", hooks_path(), {**HOOK_DOCUMENT, "secret": True})).json_body["data"]
    read = (await rest("GET", hooks_path(hook_id=made["id"]))).json_body["data"]
    assert "secret" not in read
    written = (await rest("POST", hooks_path(hook_id=made["id"]), read)).json_body["data"]
    assert written["signed"]
    assert "secret" not in written
    given = generate_secret()
    assert (await rest("PATCH", hooks_path(hook_id=made["id"]), {"secret": given})).json_body["data"][
        "secret"
    ] == given
    ended = (await rest("PATCH", hooks_path(hook_id=made["id"]), {"secret": None})).json_body["data"]
    assert "signed" not in ended
    await rest("PATCH", hooks_path(hook_id=made["id"]), {"secret": True})
    assert (await rest("DELETE", f"{hooks_path(hook_id=made['id'])}/secret")).code == 200
    assert "signed" not in (await rest("GET", hooks_path(hook_id=made["id"]))).json_body["data"]


@pytest.mark.parametrize(
    "body",
    [
        {"secret": "short"},
        {"secret": False},
        {"overlap_seconds": -1},
        {"secret": "whsec_hunter2"},
        {"secret": "whsk_hunter2"},
        {"signature": "rsa"},
        ["secret"],
    ],
)
@pytest_twisted.ensureDeferred
async def test_what_is_no_secret(rest: RestHarness, body: Any) -> None:
    hook_id = (await rest("PUT", hooks_path(), HOOK_DOCUMENT)).json_body["data"]["id"]
    refused = await rest("POST", f"{hooks_path(hook_id=hook_id)}/secret", body)
    assert refused.code == 400
    assert "hunter2" not in refused.text_body
    assert (await rest("POST", f"{hooks_path(STRANGER, hook_id)}/secret")).code == 403
    assert (await rest("POST", f"{hooks_path(hook_id='f' * 32)}/secret")).code == 404


@pytest_twisted.ensureDeferred
async def test_unsigned_hooks_stay_as_they_are_and_repetitions_share_their_id(
    rest: RestHarness, receiver: Any
) -> None:
    await rest("PUT", hooks_path(), {**HOOK_DOCUMENT, "uri": receiver.url, "retries": 1})
    receiver.statuses = [500, 200]
    body = {
        "Event-Category": "call_event",
        "Event-Name": "CHANNEL_CREATE",
        "Call-ID": "c",
        "Custom-Channel-Vars": {"Account-ID": ACCOUNT},
    }
    await rest.node.bus.publish("callevt", "call.CHANNEL_CREATE.c", body)
    await receiver.arrived(2)
    await deferLater(reactor, 0)
    first, second = receiver.received
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert not {"webhook-signature", "webhook-timestamp"} & {*first.headers, *second.headers}
