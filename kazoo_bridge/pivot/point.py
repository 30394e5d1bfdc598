"""Pivot points: the documents that clients write, and what is made of them once."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any

from attrs import field, frozen

from kazoo_bridge.interfaces import InvalidDocument, StoredPivot
from kazoo_bridge.json_numbers import DocumentSchema
from kazoo_bridge.pivot.flow_validation import validate_flow
from kazoo_bridge.schema_errors import FieldErrors, add_errors, field_error, to_kazoo_errors

#: Networks from which one pivot point accepts requests.
MAX_NETWORKS = 50

#: The JSON schema of a document, but for the steps of ``fallback``. ``$`` would accept a line feed in Python.
PIVOT_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "required": ["name"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string", "pattern": r"^[A-Za-z0-9-]{1,64}(?![\s\S])"},
        "timeout_ms": {"type": "integer", "minimum": 100, "maximum": 10_000, "default": 3000},
        "fallback": {"type": "object", "description": "A flow, as an answer has it; none ends Pivot."},
        "strategy": {"type": "string", "enum": ["first", "rotate"], "default": "first"},
        "enabled": {"type": "boolean", "default": True},
        "source_networks": {
            "type": "array",
            "maxItems": MAX_NETWORKS,
            "items": {"type": "string", "maxLength": 49},
            "default": [],
            "description": "Addresses and networks that may request the URL; none: all may.",
        },
    },
}

#: What clients read back, and may send again: it is ignored.
READ_ONLY = frozenset({"id", "url", "cdr_url", "created", "modified"})

_SCHEMA = DocumentSchema.from_schema(PIVOT_SCHEMA)
_DEFAULTS = {
    name: rules["default"] for name, rules in PIVOT_SCHEMA["properties"].items() if "default" in rules
}
_MESSAGES = {"pattern": "expected 1 to 64 letters, digits and hyphens"}


def validate_document(data: Mapping[str, Any], own_modules: Collection[str] = ()) -> dict[str, Any]:
    """Return the document to store, with defaults, from what a client has sent. Raises `InvalidDocument`."""
    given = {name: value for name, value in data.items() if name not in READ_ONLY and value is not None}
    document, found = _SCHEMA.validate(given)
    errors: FieldErrors = to_kazoo_errors(found, messages=_MESSAGES)
    if "fallback" in given and "fallback" not in errors:
        add_errors(errors, validate_flow(given["fallback"], own_modules, "fallback"))
    if "source_networks" not in errors:
        for number, network in enumerate(given.get("source_networks", ())):
            if isinstance(network, str) and _parse_network(network) is None:
                message = "expected an IP address or a network such as 192.0.2.0/24"
                add_errors(errors, field_error(f"source_networks.{number}", "wrong_format", message))
    if errors:
        raise InvalidDocument(errors)
    return {"name": document["name"], **_DEFAULTS, **document}


def _parse_network(text: str) -> IPv4Network | IPv6Network | None:
    try:
        return ip_network(text.strip())
    except ValueError:
        return None


@frozen
class PivotPoint:
    """A pivot point, ready to be asked. `timeout` is in seconds, `fallback` None ends Pivot."""

    id: str
    account_id: str
    name: str
    secret: str = field(repr=False)
    timeout: float
    fallback: Mapping[str, Any] | None
    rotates: bool
    enabled: bool
    networks: tuple[IPv4Network | IPv6Network, ...]

    @classmethod
    def from_stored(cls, stored: StoredPivot) -> PivotPoint:
        """Return the pivot point of a stored document, which is valid."""
        document = stored.document
        networks = (_parse_network(text) for text in document["source_networks"])
        return cls(
            stored.id,
            stored.account_id,
            stored.name,
            stored.secret,
            document["timeout_ms"] / 1000,
            document.get("fallback"),
            document["strategy"] == "rotate",
            document["enabled"],
            tuple(network for network in networks if network is not None),
        )

    def accepts(self, address: str) -> bool:
        """Return True if the client at `address` may send requests."""
        if not self.networks:
            return True
        try:
            parsed = ip_address(address)
        except ValueError:  # a Unix socket
            return False
        mapped = getattr(parsed, "ipv4_mapped", None)
        return any((mapped or parsed) in network for network in self.networks)
