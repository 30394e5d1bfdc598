"""KAZOO's vocabulary: pure functions and immutable values.

The facts are those of KAZOO 4.3 (``2600hz/kazoo``).
"""

from typing import TYPE_CHECKING, Any

from kazoo_bridge.kazoo.channels import (
    called_number,
    channel_account_id,
    channel_start,
    channel_variables,
    is_loopback,
)
from kazoo_bridge.kazoo.envelope import (
    APP_NAME,
    OPTIONAL_ENVELOPE,
    build_envelope,
    build_request,
    normalize,
    public_form,
)
from kazoo_bridge.kazoo.event import Event
from kazoo_bridge.kazoo.routing_keys import (
    EXCHANGES,
    MAX_SHORT_STRING_BYTES,
    TARGETED,
    decode_key_part,
    encode_key_part,
)
from kazoo_bridge.kazoo.values import (
    ACCOUNTS_DB,
    GREGORIAN_OFFSET,
    account_db,
    account_from_db,
    dialled_number,
    from_gregorian,
    is_account_id,
    is_true,
    monthly_db,
    normalize_number,
    to_gregorian,
)
from kazoo_bridge.legacy import resolve_former_name

__all__ = [
    "ACCOUNTS_DB",
    "APP_NAME",
    "EXCHANGES",
    "GREGORIAN_OFFSET",
    "MAX_SHORT_STRING_BYTES",
    "OPTIONAL_ENVELOPE",
    "TARGETED",
    "Event",
    "account_db",
    "account_from_db",
    "build_envelope",
    "build_request",
    "called_number",
    "channel_account_id",
    "channel_start",
    "channel_variables",
    "decode_key_part",
    "dialled_number",
    "encode_key_part",
    "from_gregorian",
    "is_account_id",
    "is_loopback",
    "is_true",
    "monthly_db",
    "normalize",
    "normalize_number",
    "public_form",
    "to_gregorian",
]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """Resolve the names of the first release; see `kazoo_bridge.legacy`."""
        return resolve_former_name(__name__, globals(), name)
