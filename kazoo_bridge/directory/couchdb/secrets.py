"""The secrets and keys that tokens are verified with, read from CouchDB when they are needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import field, frozen
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from kazoo_bridge.couchdb.client import CouchClient
from kazoo_bridge.couchdb.names import SYSTEM_AUTH, SYSTEM_CONFIG, account_database
from kazoo_bridge.directory.couchdb.cached_reader import CachedReader, Freshness, ReadPause
from kazoo_bridge.directory.couchdb.kazoo_token import KazooToken
from kazoo_bridge.interfaces import StorageUnavailable
from kazoo_bridge.kazoo import account_from_db, is_true
from kazoo_bridge.text_sanitizing import text_for_display
from kazoo_bridge.token_bucket import TokenBucket

_log = Logger()

#: The document of the configuration of logins in ``system_config``.
AUTH_CONFIG = "auth"

#: The attachment of a key's document that is the key.
KEY_ATTACHMENT = "private_key.pem"

#: Bits of KAZOO's keys. Smaller ones are refused.
MIN_KEY_BITS = 2048

#: Reads of keys that are not known: at once, and seconds until one more. Any client can name an unknown key.
_UNKNOWN_KEYS = 20, 0.5

#: Reads of identities that are not known; their tokens have a good signature.
_UNKNOWN_IDENTITIES = 5000, 0.001

#: Reads of what is known, at once, and seconds until one more; beyond them, reads wait, and what is known is
#: used. A read costs about a millisecond of this process, a hundred a second a tenth of its time.
_AGAIN = 200, 0.01

#: Keys that are kept.
_MAX_KEYS = 1000


@frozen
class Identity:
    """What the document of a device, user or account says about its tokens.

    `secret`: None: it has none. `enabled`: False: it is deleted or disabled.
    """

    secret: str | None = field(repr=False)
    enabled: bool = True


@frozen
class AuthSettings:
    """The configuration of logins. `secret` and `key_id` are None where KAZOO has not set them yet."""

    secret: str | None = field(repr=False)
    key_id: str | None = None


class CouchSecrets:
    """Keys by their ids, identities by account and id, and the system's own secret.

    `on_changed` is called when one of them is, or may be, another than tokens were verified with.
    """

    def __init__(
        self, clock: IReactorTime, client: CouchClient, freshness: Freshness, on_changed: Callable[[], None]
    ) -> None:
        self._client = client
        self._on_changed = on_changed
        self._missing_reported = False
        pause = ReadPause()

        def reader(read: Callable[[str], Any], unknown: tuple[int, float], limit: int) -> CachedReader[Any]:
            return CachedReader(
                clock,
                read,
                freshness,
                on_changed=lambda _: on_changed(),
                unknown=TokenBucket(*unknown),
                again=TokenBucket(*_AGAIN),
                limit=limit,
                pause=pause,
            )

        self.keys: CachedReader[RSAPublicKey] = reader(self._read_key, _UNKNOWN_KEYS, _MAX_KEYS)
        self.identities: CachedReader[Identity] = reader(self._read_identity, _UNKNOWN_IDENTITIES, 20_000)
        self.settings: CachedReader[AuthSettings] = reader(self._read_settings, (100, 0.1), 1)

    async def key(self, key_id: str) -> RSAPublicKey | None:
        """Return the key that tokens name; None if there is none. May raise `StorageUnavailable`.

        The cluster's present key is read even while clients name many unknown ones.
        """
        expected = False
        if not self.keys.is_kept(key_id):
            settings = await self.auth_settings()
            expected = settings is not None and settings.key_id == key_id
        return await self.keys.get(key_id, expected=expected)

    def identity(self, account_id: str, identity_id: str) -> Deferred[Identity | None]:
        """Fire with the identity; None if there is no such document. May fail with `StorageUnavailable`."""
        return self.identities.get(f"{account_id}/{identity_id}")

    def peek_identity(self, account_id: str, identity_id: str) -> Identity | None:
        """Return the identity if it is new, without asking."""
        return self.identities.peek(f"{account_id}/{identity_id}")

    def auth_settings(self) -> Deferred[AuthSettings | None]:
        """Fire with the configuration of logins. May fail with `StorageUnavailable`."""
        return self.settings.get(AUTH_CONFIG)

    def peek_settings(self) -> AuthSettings | None:
        """Return the configuration of logins if it is new, without asking."""
        return self.settings.peek(AUTH_CONFIG)

    def is_in_doubt(self, token: KazooToken) -> bool:
        """Return whether something that the token is verified with has changed since it was read."""
        return (
            self.identities.is_doubtful(f"{token.account_id}/{token.identity_id}")
            or self.keys.is_doubtful(token.key_id)
            or self.settings.is_doubtful(AUTH_CONFIG)
        )

    @staticmethod
    def accepts(token: KazooToken, identity: Identity | None, settings: AuthSettings | None) -> bool:
        """Return whether the signature of an identity in a token is good, and the identity enabled."""
        if identity is None or identity.secret is None or not identity.enabled:
            return False
        if settings is None or settings.secret is None:
            return False
        return token.is_of_identity(identity.secret, settings.secret)

    async def private_key(self, key_id: str) -> RSAPrivateKey | None:
        """Read a key to sign with; None if there is none. Raises `StorageUnavailable`."""
        pem = await self._client.attachment(SYSTEM_AUTH, key_id, KEY_ATTACHMENT)
        return None if pem is None else _parse_key(pem, key_id)

    def document_changed(self, database: object, document_id: object) -> None:
        """Follow a message that says that a document has changed."""
        if not isinstance(document_id, str):
            return
        account_id = account_from_db(database)
        if database == SYSTEM_AUTH:
            changed = self.keys.mark_changed(document_id)
        elif database == SYSTEM_CONFIG:
            changed = self.settings.mark_changed(document_id)
        elif account_id is not None:
            changed = self.identities.mark_changed(f"{account_id}/{document_id}")
        else:
            return
        if changed:
            self._on_changed()

    def account_changed(self, account_id: str) -> None:
        """Follow a change of an account: its own secret may be another."""
        self.identities.mark_changed(f"{account_id}/{account_id}")

    def stop(self) -> None:
        """Read nothing more by itself."""
        for reader in (self.keys, self.identities, self.settings):
            reader.stop()

    def mark_all_old(self) -> None:
        """Read everything again, because messages about changes may have been missed."""
        for reader in (self.keys, self.identities, self.settings):
            reader.mark_all_old()
        self._on_changed()

    async def _read_key(self, key_id: str) -> RSAPublicKey | None:
        pem = await self._client.attachment(SYSTEM_AUTH, key_id, KEY_ATTACHMENT)
        if pem is None:
            # Reads of unknown keys are bounded, and so are these lines.
            _log.warn(
                "token refused, its key is not in {database} kid={key_id}",
                database=SYSTEM_AUTH,
                key_id=text_for_display(key_id),
            )
        key = None if pem is None else _parse_key(pem, key_id)
        return None if key is None else key.public_key()

    async def _read_identity(self, name: str) -> Identity | None:
        account_id, _, identity_id = name.partition("/")
        document = await self._client.find(account_database(account_id), identity_id)
        if document is None:
            return None
        secret = document.get("pvt_signature_secret")
        return Identity(
            secret if isinstance(secret, str) and secret else None,
            enabled=not is_true(document.get("pvt_deleted")) and document.get("enabled", True) is not False,
        )

    async def _read_settings(self, _name: str) -> AuthSettings | None:
        document = await self._client.find(SYSTEM_CONFIG, AUTH_CONFIG)
        default = (document or {}).get("default")
        default = default if isinstance(default, dict) else {}
        secret, key_id = default.get("secret_for_user_signature"), default.get("system_key")
        settings = AuthSettings(
            secret if isinstance(secret, str) and secret else None,
            key_id if isinstance(key_id, str) and key_id else None,
        )
        if settings.secret is None and not self._missing_reported:
            _log.warn(
                "tokens of users, devices and accounts are refused: "
                "{database}/{document_id} has no default.secret_for_user_signature",
                database=SYSTEM_CONFIG,
                document_id=AUTH_CONFIG,
            )
        self._missing_reported = settings.secret is None
        return settings


def _parse_key(pem: bytes, key_id: str) -> RSAPrivateKey | None:
    """Return the key of an attachment; None if it cannot be used, which is logged."""
    try:
        key = load_pem_private_key(pem, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if isinstance(key, RSAPrivateKey) and key.key_size >= MIN_KEY_BITS:
        return key
    _log.warn(
        "key of CouchDB not used, expected an RSA key of {bits} bits or more document={document_id}",
        bits=MIN_KEY_BITS,
        document_id=text_for_display(key_id),
    )
    return None


def settings_missing() -> StorageUnavailable:
    """Return the error for a cluster whose configuration of logins is not there."""
    return StorageUnavailable(
        f"{SYSTEM_CONFIG}/{AUTH_CONFIG} has no secret_for_user_signature or system_key, "
        "which KAZOO sets when it mints its first token"
    )
