"""The public keys of a file, read again when it changes."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from twisted.application.internet import TimerService
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from kazoo_bridge.config import ANY_KEY, read_public_keys

_log = Logger()

#: Seconds between two looks at the file.
CHECK_INTERVAL = 5.0

_Stamp = tuple[int, int, int]


class KeyFile(TimerService):
    """The keys of a PEM file or a JSON Web Key Set.

    As a service it looks at the file every `CHECK_INTERVAL` seconds. When the file has changed, the keys are
    replaced and `on_change` is called; a file that cannot be used any more leaves the keys as they are.
    """

    def __init__(self, clock: IReactorTime, path: str, on_change: Callable[[], None]) -> None:
        """Read the file. Raises ValueError, whose text names the path and what was expected."""
        super().__init__(CHECK_INTERVAL, self.check)
        self.clock = clock
        self._path = path
        self._on_change = on_change
        self._stamp = _stamp(path)
        self._keys: Mapping[str, RSAPublicKey] = read_public_keys(path)
        #: Why the file cannot be used although it has changed; None while it can.
        self.problem: str | None = None

    def find(self, key_id: object) -> RSAPublicKey | None:
        """Return the key of a token whose header names `key_id` (None: no key); None if there is none."""
        if ANY_KEY in self._keys:
            return self._keys[ANY_KEY]
        return self._keys.get(key_id) if isinstance(key_id, str) else None

    def check(self) -> None:
        """Read the file again if it has changed."""
        stamp = _stamp(self._path)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            keys = read_public_keys(self._path)
        except ValueError as error:
            self.problem = f"jwt.keys: {error}"
            _log.error("keys of tokens not replaced reason={reason}", reason=error)
            return
        self.problem = None
        if keys != self._keys:
            self._keys = keys
            _log.info("keys of tokens replaced path={path} count={count}", path=self._path, count=len(keys))
            self._on_change()


def _stamp(path: str) -> _Stamp | None:
    """Return what changes with the file; None if there is no file."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino, status.st_size
