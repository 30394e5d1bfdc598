"""KAZOO's vocabulary: pure functions and immutable values. The facts are KAZOO 4.3's (repository ``2600hz/kazoo``)."""

from kazoo_bridge.kazoo.accounts import ACCOUNTS_DB, account_db, account_from_db, is_account_id, monthly_db
from kazoo_bridge.kazoo.envelope import OPTIONAL_ENVELOPE, normalize, public_form
from kazoo_bridge.kazoo.event import Event
from kazoo_bridge.kazoo.gregorian_time import GREGORIAN_OFFSET, from_gregorian, to_gregorian
from kazoo_bridge.kazoo.phone_numbers import normalize_number
from kazoo_bridge.kazoo.routing_keys import (
    EXCHANGES,
    MAX_SHORT_STRING_BYTES,
    TARGETED,
    decode_key_part,
    encode_key_part,
)

__all__ = [
    "ACCOUNTS_DB",
    "EXCHANGES",
    "GREGORIAN_OFFSET",
    "MAX_SHORT_STRING_BYTES",
    "OPTIONAL_ENVELOPE",
    "TARGETED",
    "Event",
    "account_db",
    "account_from_db",
    "decode_key_part",
    "encode_key_part",
    "from_gregorian",
    "is_account_id",
    "monthly_db",
    "normalize",
    "normalize_number",
    "public_form",
    "to_gregorian",
]
