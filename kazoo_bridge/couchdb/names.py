"""The names of KAZOO's databases, and how names stand in URLs.

The names here have their slashes, as in ``account/4f/2c/…``; `kazoo_bridge.kazoo.account_db` is the form of
messages.
"""

from __future__ import annotations

from urllib.parse import quote

#: A copy of every account's document.
ACCOUNTS = "accounts"

#: Every hook.
WEBHOOKS = "webhooks"

#: The keys that sign tokens; see ``core/kazoo_auth/src/kz_auth_keys.erl`` in ``2600hz/kazoo``.
SYSTEM_AUTH = "system_auth"

#: The configuration of the cluster, one document a category.
SYSTEM_CONFIG = "system_config"

#: Characters of an E.164 number, ``+`` included, that name its database.
_NUMBER_PREFIX_LENGTH = 5

_DESIGN = "_design/"


def account_database(account_id: str) -> str:
    """Return the name of the account's database, ``account/4f/2c/…``."""
    return f"account/{account_id[:2]}/{account_id[2:4]}/{account_id[4:]}"


def monthly_database(account_id: str, year: int, month: int) -> str:
    """Return the name of the account's database for one month, ``account/4f/2c/…-YYYYMM``."""
    return f"{account_database(account_id)}-{year:04d}{month:02d}"


def number_database(number: str) -> str:
    """Return the name of the database of an E.164 number.

    ``number_database("+14155550100")`` is ``numbers/+1415``. See ``core/kazoo_numbers`` in ``2600hz/kazoo``.
    """
    return f"numbers/{number[:_NUMBER_PREFIX_LENGTH]}"


def database_path(database: str) -> str:
    """Return the path of a database in URLs: all of its name percent-encoded."""
    return f"/{quote(database, safe='')}"


def document_path(database: str, document_id: str) -> str:
    """Return the path of a document. The slash of a design document stays, as CouchDB expects."""
    if document_id.startswith(_DESIGN):
        return f"{database_path(database)}/{_DESIGN}{quote(document_id.removeprefix(_DESIGN), safe='')}"
    return f"{database_path(database)}/{quote(document_id, safe='')}"


def attachment_path(database: str, document_id: str, name: str) -> str:
    """Return the path of an attachment."""
    return f"{document_path(database, document_id)}/{quote(name, safe='')}"


def view_path(database: str, view: str) -> str:
    """Return the path of a view, named ``design/view`` as in KAZOO's code."""
    design, _, name = view.partition("/")
    return f"{document_path(database, _DESIGN + design)}/_view/{quote(name, safe='')}"
