from __future__ import annotations

from typing import Any

import pytest

from kazoo_bridge.interfaces import InvalidDocument, StoredPivot
from kazoo_bridge.pivot.point import PivotPoint, validate_document


def make_point(**document: Any) -> PivotPoint:
    valid = validate_document({"name": "front-desk", **document})
    return PivotPoint.from_stored(StoredPivot("1" * 32, "a" * 32, valid, "secret", "1-x", 0, 0))


def test_defaults() -> None:
    point = make_point()
    assert (point.timeout, point.rotates, point.enabled, point.fallback, point.networks) == (
        3.0,
        False,
        True,
        None,
        (),
    )
    assert "secret" not in repr(point)


def test_what_clients_read_back_is_ignored() -> None:
    assert validate_document({"name": "a", "id": "x", "url": "y", "fallback": None}) == validate_document(
        {"name": "a"}
    )


@pytest.mark.parametrize(
    ("document", "field", "rule"),
    [
        ({"name": ""}, "name", "pattern"),
        ({"name": "a b"}, "name", "pattern"),
        ({"name": "a.b"}, "name", "pattern"),
        ({"name": "a" * 65}, "name", "pattern"),
        ({"name": "a\n"}, "name", "pattern"),
        ({"name": None}, "name", "required"),
        ({"timeout_ms": 99}, "timeout_ms", "minimum"),
        ({"timeout_ms": 10_001}, "timeout_ms", "maximum"),
        ({"timeout_ms": "x"}, "timeout_ms", "type"),
        ({"strategy": "all"}, "strategy", "enum"),
        ({"fallback": []}, "fallback", "type"),
        ({"fallback": {"module": "x"}}, "fallback.module", "enum"),
        ({"source_networks": ["10.0.0.1/8"]}, "source_networks.0", "wrong_format"),
        ({"source_networks": ["10.0.0.0/8"] * 51}, "source_networks", "maxItems"),
        ({"color": 1}, "", "additionalProperties"),
    ],
)
def test_wrong_documents(document: dict[str, Any], field: str, rule: str) -> None:
    with pytest.raises(InvalidDocument) as refused:
        validate_document({"name": "front-desk", **document})
    assert {name: list(rules) for name, rules in refused.value.errors.items()} == {field: [rule]}


def test_source_networks() -> None:
    point = make_point(source_networks=["10.0.0.0/8", "2001:db8::1"])
    assert [point.accepts(one) for one in ("10.1.2.3", "::ffff:10.1.2.3", "2001:db8::1")] == [True] * 3
    assert [point.accepts(one) for one in ("11.1.2.3", "2001:db8::2", "", "no address")] == [False] * 4
    assert make_point().accepts("192.0.2.1")
