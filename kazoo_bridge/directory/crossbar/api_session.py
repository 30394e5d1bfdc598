"""The bridge's own login: a token for the API key, renewed when crossbar no longer accepts it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import define, field, frozen
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from kazoo_bridge.directory.crossbar.answers import read_login
from kazoo_bridge.directory.crossbar.http_client import CrossbarAnswer, CrossbarClient
from kazoo_bridge.directory.shared_reads import SharedReads
from kazoo_bridge.interfaces import StorageUnavailable

_log = Logger()

#: Seconds after which an API key that was refused is tried again.
RETRY_AFTER_REFUSAL = 30.0

#: Requests that wait for a login at the same time; more fail at once.
MAX_WAITING = 1000

#: The key of the login among the shared reads.
_LOGIN = "login"


@frozen
class _Login:
    token: str = field(repr=False)
    account_id: str


@define(eq=False)
class ApiSession:
    """Sends requests as the account of the API key. `problem` says why it cannot; None while it can."""

    _clock: IReactorTime
    _client: CrossbarClient
    _api_key: str = field(repr=False)
    problem: str | None = field(init=False, default=None)
    _login: _Login | None = field(init=False, default=None, repr=False)
    _refused: float | None = field(init=False, default=None)
    _logins: SharedReads[_Login] = field(init=False, factory=SharedReads)

    async def account_id(self) -> str:
        """Return the id of the account of the API key. Raises `StorageUnavailable`."""
        return (await self._logged_in(None)).account_id

    async def get(self, path: str, *, repeatable: bool = True) -> CrossbarAnswer:
        """Return the answer to a GET; logs in, and once more if the token is no longer accepted.

        `repeatable`: see `CrossbarClient.request`. Raises `StorageUnavailable`.
        """
        login = await self._logged_in(None)
        answer = await self._client.request("GET", path, token=login.token, repeatable=repeatable)
        if answer.status != 401:
            return answer
        login = await self._logged_in(login)
        answer = await self._client.request("GET", path, token=login.token, repeatable=repeatable)
        if answer.status == 401:
            raise StorageUnavailable("crossbar refuses the token that it has just issued")
        return answer

    async def _logged_in(self, expired: _Login | None) -> _Login:
        """Return the present login, or a new one if there is none but `expired`.

        All callers wait for the same new login, which the client bounds in time, and share its failure.
        """
        if self._login is not None and self._login is not expired:
            return self._login
        self._login = None
        if self._logins.waiters(_LOGIN) >= MAX_WAITING:
            raise StorageUnavailable("too many requests wait for the login at crossbar")
        return await self._logins.join(_LOGIN, self._log_in)

    async def _log_in(self) -> _Login:
        now = self._clock.seconds()
        if self._refused is not None and now < self._refused + RETRY_AFTER_REFUSAL:
            raise StorageUnavailable(str(self.problem))
        body: Mapping[str, Any] = {"data": {"api_key": self._api_key}}
        login = read_login(await self._client.request("PUT", "/api_auth", body=body))
        if login is None:
            self._refused, self.problem = now, "crossbar refuses the API key of crossbar.api_key"
            _log.error("{problem}", problem=self.problem)
            raise StorageUnavailable(self.problem)
        self._refused = self.problem = None
        self._login = _Login(*login)
        return self._login
