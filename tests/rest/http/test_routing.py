from __future__ import annotations

import pytest
from attrs import frozen
from werkzeug.exceptions import MethodNotAllowed, NotFound

from kazoo_bridge.rest.http.routing import RoutedResource, make_app, route


@frozen
class Tools(RoutedResource):
    @route("GET", "/tools/<tool_id>")
    def read(self, request: object, tool_id: str) -> bytes:
        return f"tool {tool_id}".encode()

    @route("PUT", "/tools")
    def create(self, request: object) -> bytes:
        return b"created"

    def helper(self) -> None:
        raise AssertionError("not a handler")


@frozen
class Keys(RoutedResource):
    @route("GET", "/keys/<path:key_id>")
    def read(self, request: object, key_id: str) -> bytes:
        return f"key {key_id}".encode()


def call(method: str, path: str) -> object:
    app = make_app([Tools(), Keys()])
    endpoint, arguments = app.url_map.bind("localhost").match(path, method)
    return app.endpoints[endpoint](None, None, **arguments)


def test_marked_methods_are_served_with_the_parts_of_their_path() -> None:
    assert call("GET", "/tools/hammer") == b"tool hammer"
    assert call("HEAD", "/tools/hammer") == b"tool hammer"
    assert call("PUT", "/tools") == b"created"


def test_resources_may_have_handlers_of_the_same_name() -> None:
    assert call("GET", "/keys/a/b") == b"key a/b"


def test_other_methods_and_paths_are_not_served() -> None:
    with pytest.raises(MethodNotAllowed):
        call("PUT", "/tools/hammer")
    for path in ("/helper", "/tools/helper/x", "/"):
        with pytest.raises(NotFound):
            call("GET", path)


def test_paths_are_matched_only() -> None:
    """Functions that build them would cost most of the time in which a node makes its routes."""
    adapter = make_app([Tools()]).url_map.bind("localhost")
    with pytest.raises(NotImplementedError):
        adapter.build("PUT /tools")
