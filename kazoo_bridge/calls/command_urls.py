"""Finds the URLs that commands make the switch request, and refuses URLs that customers may not name.

The switch stands inside the operator's network, and fetches any URL that a command names.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

from kazoo_bridge.calls.command_schemas import COMMAND_SCHEMAS, CommandSchema
from kazoo_bridge.interfaces import CommandRefused
from kazoo_bridge.schema_errors import field_error

#: Returns why the switch may not request an absolute http or https URL; None if it may.
UrlCheck = Callable[[str], Awaitable[str | None]]

#: URLs of one flow.
MAX_URLS = 16

_UNKNOWN = CommandSchema()

#: Streams that the switch makes itself, without a request. One stream may not name another.
_LOCAL_STREAM = re.compile(r"(tone_stream|silence_stream|local_stream)://(?!.*://).*", re.DOTALL)

#: Schemes of recordings that are requested from a host like http.
_REQUESTED = re.compile(r"(?i)(https?|ftps?)(?=://)")


def command_urls(command: str, data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Find the URLs in the data of a command, which has been validated; yields the key and the URL of each.

    A text that contains no ``://`` is the id of a medium. The values of unknown keys, and of unknown
    commands, are looked at too, because a newer switch may know them.
    """
    schema = COMMAND_SCHEMAS.get(command, _UNKNOWN)
    for key, value in data.items():
        if key in schema.properties and key not in schema.urls:
            continue
        for path, text in _texts(key, value):
            if "://" in text and not _LOCAL_STREAM.fullmatch(text):
                yield path, text


def flow_urls(flow: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    """Find the URLs in all steps of a flow, which has been validated, like `command_urls`."""
    for key, url in command_urls(flow["module"], flow.get("data", {})):
        yield f"{path}data.{key}", url
    for name, step in flow.get("children", {}).items():
        yield from flow_urls(step, f"{path}children.{name}.")


async def require_permitted(urls: Iterator[tuple[str, str]], check: UrlCheck) -> None:
    """Raise `CommandRefused` for the first URL that is malformed or that `check` gives a reason against."""
    for number, (path, url) in enumerate(urls):
        reason = f"expected at most {MAX_URLS} URLs" if number >= MAX_URLS else await _reason(url, check)
        if reason is not None:
            raise CommandRefused(field_error(path, "wrong_format", reason))


async def _reason(url: str, check: UrlCheck) -> str | None:
    requested = _REQUESTED.match(url)
    if requested is None:
        return "expected the id of a medium, or a URL of http, https or ftp"
    # How a host is written and judged does not depend on the scheme.
    return await check(url if requested[1].lower().startswith("http") else "http" + url[requested.end() :])


def _texts(path: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _texts(f"{path}.{name}", inner)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _texts(f"{path}.{index}", inner)
