from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from kazoo_bridge.calls.command_schemas import COMMAND_SCHEMAS
from kazoo_bridge.calls.command_urls import MAX_URLS, command_urls, flow_urls, require_permitted
from kazoo_bridge.interfaces import CommandRefused

_results = SynchronousTestCase()

URL = "https://media.example/1.wav"


@pytest.mark.parametrize(
    ("command", "data", "found"),
    [
        ("play", {"id": URL}, [("id", URL)]),
        ("play", {"id": "one-moment", "leg": "self"}, []),
        ("play", {"id": "/" + "a" * 32 + "/" + "b" * 32}, []),
        ("play", {"id": "tone_stream://%(251,0,1004);loops=10"}, []),
        ("play", {"id": "silence_stream://1000"}, []),
        ("play", {"id": "local_stream://moh"}, []),
        ("play", {"id": "tone_stream://x!http://10.0.0.1/"}, [("id", "tone_stream://x!http://10.0.0.1/")]),
        ("play", {"id": "{a=b}http://10.0.0.1/"}, [("id", "{a=b}http://10.0.0.1/")]),
        ("record_call", {"url": URL, "label": "a://b"}, [("url", URL)]),
        ("record_call", {"action": "start"}, []),
        ("hold", {"moh_aleg": URL, "moh_bleg": URL}, [("moh_aleg", URL), ("moh_bleg", URL)]),
        ("transfer", {"target": "2001", "moh": URL}, [("moh", URL)]),
        ("tts", {"text": "see http://10.0.0.1/"}, []),
        ("say", {"text": "http://10.0.0.1/"}, []),
        ("play", {"id": "m", "newer_key": {"list": ["x", URL]}}, [("newer_key.list.1", URL)]),
        ("newer_command", {"anything": URL}, [("anything", URL)]),
    ],
)
def test_the_urls_of_a_command(command: str, data: dict[str, Any], found: list[tuple[str, str]]) -> None:
    assert list(command_urls(command, data)) == found


def test_the_urls_of_a_flow() -> None:
    flow = {
        "module": "play",
        "data": {"id": URL},
        "children": {
            "_": {"module": "hangup"},
            "1": {"module": "record_call", "data": {"url": "ftp://h/"}, "children": {}},
        },
    }
    assert list(flow_urls(flow)) == [("data.id", URL), ("children.1.data.url", "ftp://h/")]


def test_the_keys_with_urls_are_keys() -> None:
    for schema in COMMAND_SCHEMAS.values():
        assert set(schema.urls) <= set(schema.properties)


def refused(*urls: str, denied: str | None = None) -> tuple[list[str], dict[str, Any]]:
    """Return what was checked, and the errors."""
    checked = []

    async def check(url: str) -> str | None:
        checked.append(url)
        return denied

    work = require_permitted((("url", url) for url in urls), check)
    failure = _results.failureResultOf(Deferred.fromCoroutine(work), CommandRefused)
    error: Any = failure.value
    return checked, error.errors


def test_a_denied_url_is_refused_with_the_reason() -> None:
    checked, errors = refused(URL, denied="the operator forbids it")
    assert checked == [URL]
    assert errors == {"url": {"wrong_format": {"message": "the operator forbids it"}}}


def test_a_url_of_ftp_is_judged_by_its_host() -> None:
    assert refused("FTPS://user@h/x", denied="no")[0] == ["http://user@h/x"]


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "http_cache://http://10.0.0.1/",
        "shout://10.0.0.1/",
        "file_string://a!http://10.0.0.1/",
        " http://h/",
        "{a=b}http://h/",
        "tone_stream://x!http://10.0.0.1/",
    ],
)
def test_other_schemes_are_refused_without_a_check(url: str) -> None:
    checked, errors = refused(url)
    assert checked == []
    assert "the id of a medium" in errors["url"]["wrong_format"]["message"]


def test_the_urls_of_one_command_are_bounded() -> None:
    checked, errors = refused(*[URL] * (MAX_URLS + 1))
    assert len(checked) == MAX_URLS
    assert errors["url"]["wrong_format"]["message"] == f"expected at most {MAX_URLS} URLs"
