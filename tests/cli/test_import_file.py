from __future__ import annotations

from io import BytesIO
from typing import Any

import orjson
import pytest

from kazoo_bridge.cli import import_file
from kazoo_bridge.cli.import_file import LineReader, NotAnExport, read_lines
from kazoo_bridge.cli.importer import Importer
from kazoo_bridge.plugins.discovery import find_categories
from kazoo_bridge.storage.accounts import StoredAccount
from kazoo_bridge.storage.transfer import Snapshot
from kazoo_bridge.webhooks.hooks.hook_catalogue import HookCatalogue
from kazoo_bridge.webhooks.hooks.hook_document import DocumentRules

A, HOOK_ID = "a" * 32, "d" * 32
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ACCOUNT = {"type": "account", "id": A, "name": "", "realm": "", "superadmin": False, "created": 1}
HOOK = {
    "type": "hook",
    "id": HOOK_ID,
    "account_id": A,
    "document": {"name": "n", "uri": "https://example.com/", "hook": "channel_create"},
    "created": 1,
    "modified": 2,
}
TOKEN = {
    "type": "token",
    "digest": "0" * 64,
    "account_id": A,
    "created": 1.5,
    "expires": None,
    "api_key": None,
    "restrictions": None,
}

RULES = DocumentRules.from_catalogue(
    HookCatalogue.from_types(hook for category in find_categories() for hook in category.hooks)
)


def make_reader() -> tuple[LineReader, Snapshot, list[str]]:
    """Return a reader over one account, the snapshot that it changes, and what its importer refuses."""
    refused: list[str] = []
    snapshot = Snapshot({A: StoredAccount(A, None, "", "", False, 1)}, {}, {}, {}, {})
    importer = Importer(snapshot, None, lambda *words: refused.append(" ".join(words)))
    return LineReader(importer, RULES), snapshot, refused


def hook(**changes: Any) -> dict[str, Any]:
    return HOOK | {"document": HOOK["document"] | changes}  # type: ignore[operator]


@pytest.mark.parametrize(
    ("record", "problem"),
    [
        ([], "type: expected one of kazoo_bridge_export, account"),
        ({"type": ["hook"]}, r'type: expected one of .*, got \["hook"\]'),
        (ACCOUNT | {"id": 5}, "account: id: expected a text, got 5"),
        (ACCOUNT | {"parent_id": "x"}, f'account {A}: parent_id: expected the id of an account.*, got "x"'),
        (ACCOUNT | {"superadmin": "yes"}, 'superadmin: expected true or false, got "yes"'),
        (ACCOUNT | {"created": "soon"}, 'created: expected whole Gregorian seconds from 0 to .*, got "soon"'),
        (ACCOUNT | {"created": 1e300}, "created: expected whole Gregorian seconds"),
        (ACCOUNT | {"created": 2**63}, "created: expected whole Gregorian seconds"),
        (ACCOUNT | {"created": True}, "created: .*, got true"),
        (ACCOUNT | {"relam": ""}, "relam: unknown key, expected id, parent_id"),
        (
            ACCOUNT | {"name": None, "realm": 1},
            "name: expected a text, got null; realm: expected a text, got 1",
        ),
        ({"type": "limits", "account_id": A, "attempt_failure_count": 2**40}, "expected a limit from 1 to"),
        ({"type": "limits", "account_id": A, "attempt_failure_count": True}, "expected a limit .*, got true"),
        ({"type": "number", "number": 47}, "number: expected a text, got 47; account_id: missing"),
        (HOOK | {"created": None}, f"hook {HOOK_ID}: created: expected whole Gregorian seconds.*, got null"),
        (HOOK | {"modified": -1}, "modified: .*, got -1"),
        (HOOK | {"document": []}, r"document: expected an object, got \[\]"),
        (HOOK | {"secrets": [1], "headers": {}}, "secrets: expected a list of at most 3 pairs"),
        (HOOK | {"secrets": [], "headers": []}, "headers: expected an object$"),
        (HOOK | {"secrets": []}, "expected secrets and headers, or left_out"),
        (HOOK | {"secrets": [], "headers": {}, "left_out": []}, "expected secrets and headers, or left_out"),
        (HOOK | {"left_out": ["name"]}, "left_out: expected a list of secrets, headers, credentials"),
        (hook(uri="ftp://x"), 'document: uri: expected an absolute URI .*, got "ftp://x"'),
        (hook(hook="birthday"), 'document: hook: expected one of .*, got "birthday"'),
        (hook(name=None, retries=9), "name: .*; retries: expected at most 4, got 9"),
        (
            hook(enabled=False, disable_reason="\n"),
            "document: disable_reason: expected at most 1000 characters",
        ),
        (TOKEN | {"digest": "x"}, "token: digest: expected a SHA-256 of 64 characters, 0-9 and a-f$"),
        (TOKEN | {"created": "x"}, 'token: created: expected Unix seconds from 0 to .*, got "x"'),
        (TOKEN | {"expires": -1}, "expires: expected Unix seconds from 0 to .*, or null, got -1"),
        (TOKEN | {"expires": 1e300}, "expires: expected Unix seconds"),
        (TOKEN | {"api_key": 5}, "api_key: expected a SHA-256 .*, or null$"),
        (TOKEN | {"restrictions": {}}, r"restrictions: expected the text of a JSON object .*, got \{\}"),
        (TOKEN | {"restrictions": "get"}, 'restrictions: expected the text .*, got "get"'),
        (TOKEN | {"restrictions": '{"get": "#"}'}, "restrictions: expected the text of a JSON object"),
        (
            HOOK | {"document": {"x": orjson.Fragment(b"[" * 70 + b"]" * 70)}},
            "expected JSON of at most 64 levels",
        ),
    ],
)
def test_lines_that_export_does_not_write(record: Any, problem: str) -> None:
    reader, snapshot, refused = make_reader()
    with pytest.raises(NotAnExport, match=problem):
        reader.read(orjson.dumps(record))
    assert (list(snapshot.accounts), snapshot.hooks, snapshot.credentials, refused) == ([A], {}, {}, [])


@pytest.mark.parametrize("missing", ["digest", "created", "expires", "api_key", "restrictions"])
def test_each_key_of_a_token_is_there(missing: str) -> None:
    record = {name: value for name, value in TOKEN.items() if name != missing}
    with pytest.raises(NotAnExport, match=f"token: {missing}: missing, expected "):
        make_reader()[0].read(orjson.dumps(record))


@pytest.mark.parametrize(
    "record",
    [
        HOOK | {"secrets": [["whsec_hunter2", None]], "headers": {}},
        HOOK | {"secrets": [[SECRET, "hunter2"]], "headers": {}},
        HOOK | {"secrets": [], "headers": {"host": "hunter2"}},
        HOOK | {"secrets": [], "headers": {"x-key": "hunter2\n"}},
        hook(uri="ftp://me:hunter2@example.com"),
        TOKEN | {"digest": "hunter2"},
        TOKEN | {"api_key": "hunter2"},
    ],
)
def test_wrong_secrets_are_not_repeated(record: Any) -> None:
    with pytest.raises(NotAnExport) as caught:
        make_reader()[0].read(orjson.dumps(record))
    assert "hunter2" not in str(caught.value)


def test_good_lines_are_imported() -> None:
    reader, snapshot, refused = make_reader()
    off = hook(enabled=False, disable_reason="too many failed attempts", headers={"x-key": "********"})
    reader.read(orjson.dumps(off | {"secrets": [[SECRET, 5]], "headers": {"X-Key": "v"}}))
    restrictions = '{"get": ["#"]}'
    reader.read(orjson.dumps(TOKEN | {"restrictions": restrictions, "expires": 9.5}))
    reader.read(orjson.dumps({"type": "kazoo_bridge_export", "version": 1}))
    assert refused == []
    imported = snapshot.hooks[HOOK_ID]
    assert (imported.document["headers"], imported.headers) == ({"x-key": "********"}, {"x-key": "v"})
    assert imported.document["disable_reason"] == "too many failed attempts"
    assert [(one.value, one.expires) for one in imported.secrets] == [(SECRET, 5)]
    (token,) = snapshot.credentials.values()
    assert (token.kind, token.restrictions, token.expires) == ("token", restrictions, 9.5)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"number,account_id\n", "expected a file that kazoo-bridge export has written"),
        (orjson.dumps(ACCOUNT | {"name": "kazoo_bridge_export"}), "expected a file that kazoo-bridge export"),
        (b'{"type": "kazoo_bridge_export", "version": 2}', "version: expected 1, got 2"),
        (b'{"type": "kazoo_bridge_export"}', "version: missing, expected 1"),
    ],
)
def test_the_first_line(line: bytes, problem: str) -> None:
    with pytest.raises(NotAnExport, match=problem):
        make_reader()[0].read_head(line)


def test_lines_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_file, "MAX_LINE_BYTES", 4)
    lines = list(read_lines(BytesIO(b"abc\nabcd\nabcdefghijkl\nxyz")))
    assert lines == [b"abc\n", b"abcd\n", b"abcde", b"xyz"]
    with pytest.raises(NotAnExport, match="at most 4 bytes"):
        make_reader()[0].read(lines[2])


@pytest.mark.parametrize(
    ("more", "enabled"), [({}, True), ({"enabled": True}, True), ({"enabled": False}, False)]
)
def test_accounts_of_former_exports_are_enabled(more: dict[str, bool], enabled: bool) -> None:
    reader, snapshot, refused = make_reader()
    reader.read(orjson.dumps(ACCOUNT | {"id": "b" * 32} | more))
    assert refused == []
    assert snapshot.accounts["b" * 32].enabled is enabled
