"""The directory of the kind crossbar, over HTTP to a stand-in."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_twisted
from attrs import evolve
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock, deferLater
from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogPublisher
from zope.interface import provider
from zope.interface.verify import verifyObject

from kazoo_bridge.config import Config, Crossbar
from kazoo_bridge.directory.crossbar import CrossbarDirectory
from kazoo_bridge.directory.crossbar.directory import PROBE_INTERVAL, UNKNOWN_NUMBER_TTL, UNKNOWN_TTL
from kazoo_bridge.directory.crossbar.http_client import CrossbarClient
from kazoo_bridge.interfaces import (
    Account,
    IDirectory,
    IQuickcall,
    LoginRefused,
    Principal,
    StorageUnavailable,
    TokenRestrictions,
)
from tests.directory.crossbar.stand_in import (
    API_KEY,
    CREDENTIALS,
    CUSTOMER,
    DISABLED,
    FOREIGN,
    MASTER,
    RESELLER,
    SIBLING,
    Record,
    StandInCrossbar,
)

SETTINGS = Crossbar(uri="http://unused/v2", api_key=API_KEY)

#: The principal of the token of a user of the customer.
OF_USER = Principal(CUSTOMER, user_id="9" * 32)


@pytest_twisted.async_yield_fixture
async def directory(clock: Clock, client: CrossbarClient) -> AsyncIterator[CrossbarDirectory]:
    directory = CrossbarDirectory(clock, SETTINGS, client)
    yield directory
    if directory.running:
        await directory.stopService()


def test_it_implements_the_interface(directory: CrossbarDirectory) -> None:
    assert verifyObject(IDirectory, directory)
    assert verifyObject(IQuickcall, directory)


@pytest.mark.parametrize(
    ("token", "principal"),
    [
        ("token-of-customer", OF_USER),
        ("token-of-master", Principal(MASTER, superadmin=True)),
        (
            "token-restricted",
            Principal(CUSTOMER, restrictions=TokenRestrictions.parse({"get": ["accounts/*/webhooks/#"]})),
        ),
        ("token-of-disabled", None),
        ("token-of-foreign", None),
        ("unknown", None),
        ("", None),
        ("a\r\nX-Auth-Token: token-of-master", None),
        ("é", None),
        ("x" * 5000, None),
    ],
)
@pytest_twisted.ensureDeferred
async def test_tokens(directory: CrossbarDirectory, token: str, principal: Principal | None) -> None:
    assert await directory.authenticate(token) == principal


@pytest_twisted.ensureDeferred
async def test_a_thousand_at_once_ask_one_question(
    directory: CrossbarDirectory, crossbar: StandInCrossbar
) -> None:
    crossbar.hold()
    waiting = [directory.authenticate("token-of-customer") for _ in range(1000)]
    while not crossbar.asked:
        await deferLater(reactor, 0.001)
    crossbar.release()
    assert [await one for one in waiting] == [OF_USER] * 1000
    path = f"/accounts/{CUSTOMER}"
    assert crossbar.asked == {
        "GET /token_auth": 1,
        "PUT /api_auth": 1,
        f"GET {path}": 1,
        f"GET {path}/tree": 1,
    }


@pytest_twisted.ensureDeferred
async def test_a_refused_token_is_asked_for_again_soon(
    directory: CrossbarDirectory, crossbar: StandInCrossbar, clock: Clock
) -> None:
    for _ in range(3):
        assert await directory.authenticate("new-token") is None
    assert crossbar.asked == {"GET /token_auth": 1}
    crossbar.tokens["new-token"] = {"account_id": CUSTOMER}
    clock.advance(UNKNOWN_TTL)
    assert await directory.authenticate("new-token") == Principal(CUSTOMER)


@pytest_twisted.ensureDeferred
async def test_a_revoked_token_ends(
    directory: CrossbarDirectory, crossbar: StandInCrossbar, clock: Clock
) -> None:
    assert await directory.authenticate("token-of-customer") is not None
    revision = directory.rights_revision
    del crossbar.tokens["token-of-customer"]
    clock.advance(SETTINGS.cache_s)
    assert await directory.authenticate("token-of-customer") is None
    assert directory.rights_revision != revision


@pytest_twisted.ensureDeferred
async def test_a_token_ends_with_its_time_without_a_question(
    directory: CrossbarDirectory, crossbar: StandInCrossbar, clock: Clock
) -> None:
    end = clock.seconds() + 30
    crossbar.tokens["short"] = {"account_id": CUSTOMER, "exp": end}
    assert await directory.authenticate("short") == Principal(CUSTOMER, expires=end)
    clock.advance(30)
    assert await directory.authenticate("short") is None
    assert crossbar.asked["GET /token_auth"] == 1


@pytest_twisted.ensureDeferred
async def test_a_disabled_or_deleted_account_ends_its_tokens(
    directory: CrossbarDirectory, crossbar: StandInCrossbar, clock: Clock
) -> None:
    tokens = {"token-of-customer": CUSTOMER, "token-of-reseller": RESELLER}
    for token in tokens:
        assert await directory.authenticate(token) is not None
    crossbar.accounts[CUSTOMER] = evolve(crossbar.accounts[CUSTOMER], enabled=False)
    del crossbar.accounts[RESELLER]
    clock.advance(SETTINGS.cache_s)
    for token, account_id in tokens.items():
        assert await directory.authenticate(token) is None
        assert await directory.can_act_for(Principal(account_id), account_id) is False


@pytest.mark.parametrize(
    ("actor", "account_id", "allowed"),
    [
        (CUSTOMER, CUSTOMER, True),
        (CUSTOMER, SIBLING, False),
        (CUSTOMER, RESELLER, False),
        (CUSTOMER, MASTER, False),
        (RESELLER, CUSTOMER, True),
        (RESELLER, DISABLED, True),
        (RESELLER, MASTER, False),
        (RESELLER, FOREIGN, False),
        (MASTER, CUSTOMER, True),
        (DISABLED, DISABLED, False),
        (FOREIGN, FOREIGN, False),
        (CUSTOMER, "../accounts", False),
    ],
)
@pytest_twisted.ensureDeferred
async def test_who_may_act_for_whom(
    directory: CrossbarDirectory, actor: str, account_id: str, allowed: bool
) -> None:
    assert await directory.can_act_for(Principal(actor), account_id) is allowed


@pytest_twisted.ensureDeferred
async def test_accounts(directory: CrossbarDirectory, crossbar: StandInCrossbar) -> None:
    assert directory.ancestors(CUSTOMER) is None
    assert await directory.account(CUSTOMER) == Account(
        CUSTOMER, "Customer", "2.sip.example.com", (RESELLER, MASTER)
    )
    assert directory.ancestors(CUSTOMER) == (RESELLER, MASTER)
    assert await directory.account(MASTER) == Account(MASTER, "Master", "0.sip.example.com", (), True)
    assert directory.is_superadmin(MASTER)
    assert not directory.is_superadmin(CUSTOMER)
    assert await directory.account(FOREIGN) is None
    asked = sum(crossbar.asked.values())
    for no_id in ("", "x", f"{CUSTOMER}/tree", "../../secrets"):
        assert await directory.account(no_id) is None
        assert await directory.descendants(no_id) == frozenset()
    assert sum(crossbar.asked.values()) == asked


@pytest_twisted.ensureDeferred
async def test_a_key_that_is_not_above_an_account_gets_its_parents(
    directory: CrossbarDirectory, crossbar: StandInCrossbar
) -> None:
    crossbar.accounts["5" * 32] = Record("Beside", ("6" * 32,))
    crossbar.accounts["6" * 32] = Record("Top", ())

    def lie(_method: str, path: str) -> tuple[int, bytes] | None:
        return {
            f"/accounts/{'5' * 32}": (200, f'{{"status":"success","data":{{"id":"{"5" * 32}"}}}}'.encode()),
            f"/accounts/{'5' * 32}/tree": (200, b'{"status":"success","data":[]}'),
            f"/accounts/{'5' * 32}/parents": (
                200,
                f'{{"status":"success","data":[{{"id":"{"6" * 32}"}}]}}'.encode(),
            ),
        }.get(path)

    crossbar.lie = lie
    assert await directory.account("5" * 32) == Account("5" * 32, "", "", ("6" * 32,))


@pytest_twisted.ensureDeferred
async def test_descendants_come_in_pages(directory: CrossbarDirectory, crossbar: StandInCrossbar) -> None:
    assert await directory.descendants(MASTER) == {RESELLER, CUSTOMER, SIBLING, DISABLED}
    assert await directory.descendants(CUSTOMER) == frozenset()
    assert crossbar.asked[f"GET /accounts/{MASTER}/descendants"] == 2


@pytest_twisted.ensureDeferred
async def test_pages_without_an_end_are_refused(
    directory: CrossbarDirectory, crossbar: StandInCrossbar, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kazoo_bridge.directory.crossbar.directory.MAX_PAGES", 3)
    page = f'{{"status": "success", "data": [{{"id": "{CUSTOMER}"}}], "next_start_key": "k"}}'.encode()
    crossbar.lie = lambda _method, path: (200, page) if path.endswith("/descendants") else None
    with pytest.raises(StorageUnavailable, match="an end after 3 pages"):
        await directory.descendants(MASTER)


@pytest_twisted.ensureDeferred
async def test_an_api_key_of_a_client(directory: CrossbarDirectory, crossbar: StandInCrossbar) -> None:
    crossbar.api_keys["key-of-customer"] = CUSTOMER
    login = await directory.login("key-of-customer")
    assert login is not None
    assert login[1] == Principal(CUSTOMER)
    assert await directory.authenticate(login[0]) == Principal(CUSTOMER)
    for no_key in ("unknown", "", "a\r\nb"):
        assert await directory.login(no_key) is None


@pytest_twisted.ensureDeferred
async def test_a_user_logs_in_at_crossbar(directory: CrossbarDirectory, crossbar: StandInCrossbar) -> None:
    given = {"credentials": CREDENTIALS, "account_name": "customer", "method": "md5"}
    login = await directory.log_in_user(given)
    assert login is not None
    assert (login.principal, login.data["owner_id"]) == (Principal(CUSTOMER), "9" * 32)
    assert json.loads(crossbar.bodies[0]) == {"data": given}
    assert await directory.authenticate(login.token) == Principal(CUSTOMER)
    with pytest.raises(LoginRefused) as caught:
        await directory.log_in_user({"credentials": "wrong"})
    assert (caught.value.status, caught.value.word) == (401, "invalid_credentials")
    assert login.token not in repr(login)


@pytest.mark.parametrize("account_id", [DISABLED, FOREIGN])
@pytest_twisted.ensureDeferred
async def test_a_user_of_an_account_that_may_not_be_used(
    directory: CrossbarDirectory, crossbar: StandInCrossbar, account_id: str
) -> None:
    crossbar.users[CREDENTIALS] = account_id
    with pytest.raises(LoginRefused):
        await directory.log_in_user({"credentials": CREDENTIALS})


@pytest.mark.parametrize(
    "answer", [(200, b"<html>"), (500, b"{}"), (404, b"{}"), (201, b'{"status":"success"}')]
)
@pytest_twisted.ensureDeferred
async def test_lies_about_a_login_grant_nothing(
    directory: CrossbarDirectory, crossbar: StandInCrossbar, answer: tuple[int, bytes]
) -> None:
    crossbar.lie = lambda _method, _path: answer
    with pytest.raises(StorageUnavailable):
        await directory.log_in_user({"credentials": CREDENTIALS})


@pytest_twisted.ensureDeferred
async def test_logging_out_is_passed_on(directory: CrossbarDirectory, crossbar: StandInCrossbar) -> None:
    assert await directory.authenticate("token-of-customer") is not None
    revision = directory.rights_revision
    assert await directory.log_out("token-of-customer")
    assert "token-of-customer" not in crossbar.tokens
    assert directory.rights_revision != revision
    # KAZOO cannot end a token that is signed; here it ends all the same.
    crossbar.tokens["token-of-customer"] = {"account_id": CUSTOMER}
    assert await directory.authenticate("token-of-customer") is None
    for unknown in ("token-of-customer", "unknown", ""):
        assert not await directory.log_out(unknown)


@pytest_twisted.ensureDeferred
async def test_numbers(directory: CrossbarDirectory, crossbar: StandInCrossbar, clock: Clock) -> None:
    assert directory.account_for_number("4722555019") is None
    asking = [directory.look_up_number("+4722555019") for _ in range(10)]
    for one in asking:
        assert one is not None
        await one
    assert directory.account_for_number("+4722555019") == CUSTOMER
    assert directory.look_up_number("+4722555019") is None
    national = directory.look_up_number("22555019")
    assert national is not None
    await national
    assert directory.account_for_number("22555019") == CUSTOMER
    assert directory.look_up_number("../../token_auth") is None
    assert directory.look_up_number("+") is None
    unknown = directory.look_up_number("100")
    assert unknown is not None
    await unknown
    clock.advance(UNKNOWN_NUMBER_TTL - 1)
    assert directory.account_for_number("100") is None
    assert directory.look_up_number("100") is None
    path = f"GET /accounts/{MASTER}/phone_numbers"
    assert {key: count for key, count in crossbar.asked.items() if key.startswith(path)} == {
        f"{path}/%2B4722555019/identify": 1,
        f"{path}/22555019/identify": 1,
        f"{path}/100/identify": 1,
    }


@pytest_twisted.ensureDeferred
async def test_what_is_known_serves_on_for_a_while(
    directory: CrossbarDirectory, crossbar: StandInCrossbar, clock: Clock
) -> None:
    assert await directory.authenticate("token-of-customer") == OF_USER
    assert (directory.problem(), directory.degraded()) == (None, [])
    await crossbar.stop()
    clock.advance(SETTINGS.cache_s)
    for _ in range(2):
        assert await directory.authenticate("token-of-customer") == OF_USER
        assert await directory.can_act_for(Principal(CUSTOMER), CUSTOMER)
        assert directory.ancestors(CUSTOMER) == (RESELLER, MASTER)
    assert "ConnectionRefusedError" in directory.degraded()[0]
    assert directory.problem() is None
    for asked in (
        directory.authenticate("token-of-reseller"),
        directory.account(SIBLING),
        directory.can_act_for(Principal(CUSTOMER), SIBLING),
        directory.login("key"),
        directory.descendants(CUSTOMER),
    ):
        with pytest.raises(StorageUnavailable):
            await asked
    clock.advance(SETTINGS.max_stale_s)
    with pytest.raises(StorageUnavailable):
        await directory.authenticate("token-of-customer")
    assert directory.ancestors(CUSTOMER) is None


_SUCCESS = '{{"status": "success", "auth_token": "{token}", "data": {data}}}'


def success(data: str, token: str = "token") -> tuple[int, bytes]:
    return 200, _SUCCESS.format(token=token, data=data).encode()


@pytest.mark.parametrize(
    "answer",
    [
        (200, b"<html><body>Welcome</body></html>"),
        (200, b""),
        (200, b'{"status": "success", "data": "' + b"x" * 5_000_000 + b'"}'),
        (200, b'{"data": {"account_id": "' + MASTER.encode() + b'"}}'),
        (500, b"{}"),
        (302, b"{}"),
        success(f'{{"account_id": "{MASTER}"}}', token="another-token"),
        success(f'{{"account_id": ["{MASTER}"]}}'),
        success(f'{{"account_id": "{MASTER}", "exp": "never"}}'),
        success('{"account_id": true}'),
        success("true"),
        success("{}"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_lies_about_a_token_grant_nothing(
    directory: CrossbarDirectory, crossbar: StandInCrossbar, answer: tuple[int, bytes]
) -> None:
    crossbar.lie = lambda _method, path: answer if path == "/token_auth" else None
    with pytest.raises(StorageUnavailable):
        await directory.authenticate("token")


@pytest.mark.parametrize(
    "answer",
    [
        success(f'{{"id": "{MASTER}", "superduper_admin": true, "enabled": true}}'),
        success('{"superduper_admin": true, "enabled": true}'),
        success(f'[{{"id": "{CUSTOMER}", "superduper_admin": true}}]'),
        (200, b"<html>"),
        (500, b"{}"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_lies_about_an_account_grant_nothing(
    directory: CrossbarDirectory, crossbar: StandInCrossbar, answer: tuple[int, bytes]
) -> None:
    crossbar.lie = lambda _method, path: answer if path == f"/accounts/{CUSTOMER}" else None
    with pytest.raises(StorageUnavailable):
        await directory.authenticate("token-of-customer")
    with pytest.raises(StorageUnavailable):
        await directory.can_act_for(Principal(CUSTOMER), SIBLING)
    assert not directory.is_superadmin(CUSTOMER)


@pytest.mark.parametrize(
    "data",
    ["{}", f'["{RESELLER}"]', f'[{{"id": "{CUSTOMER}"}}]', f'[{{"id": "{RESELLER.upper()}x"}}]', "null"],
)
@pytest_twisted.ensureDeferred
async def test_lies_about_ancestors_grant_nothing(
    directory: CrossbarDirectory, crossbar: StandInCrossbar, data: str
) -> None:
    crossbar.lie = lambda _method, path: success(data) if path == f"/accounts/{CUSTOMER}/tree" else None
    with pytest.raises(StorageUnavailable):
        await directory.can_act_for(Principal(RESELLER), CUSTOMER)
    assert directory.ancestors(CUSTOMER) is None


@pytest_twisted.ensureDeferred
async def test_it_says_whether_it_is_ready(
    directory: CrossbarDirectory, crossbar: StandInCrossbar, clock: Clock
) -> None:
    assert directory.problem() == "crossbar has not answered yet (it is being asked)"
    crossbar.api_keys.clear()
    directory.startService()
    await _until(lambda: directory.problem() == "crossbar refuses the API key of crossbar.api_key")
    crossbar.api_keys[API_KEY] = MASTER
    for _ in range(4):
        clock.advance(PROBE_INTERVAL)
    await _until(lambda: directory.problem() is None)
    asked = sum(crossbar.asked.values())
    clock.advance(PROBE_INTERVAL)
    assert sum(crossbar.asked.values()) == asked
    await directory.stopService()
    assert clock.getDelayedCalls() == []


@pytest_twisted.ensureDeferred
async def test_it_finds_crossbar_again_by_itself(
    directory: CrossbarDirectory, crossbar: StandInCrossbar, clock: Clock
) -> None:
    port = crossbar.port
    await crossbar.stop()
    directory.startService()
    await _until(lambda: "ConnectionRefusedError" in str(directory.problem()))
    crossbar.start(port)
    clock.advance(PROBE_INTERVAL)
    await _until(lambda: directory.problem() is None)


@pytest_twisted.ensureDeferred
async def test_no_token_and_no_key_is_in_a_url_or_the_log(
    directory: CrossbarDirectory, crossbar: StandInCrossbar, clock: Clock
) -> None:
    lines: list[str] = []

    @provider(ILogObserver)
    def observe(event: LogEvent) -> None:
        lines.append(f"{formatEvent(event)} {event}")

    crossbar.tokens["hunter2-token"] = {"account_id": CUSTOMER}
    globalLogPublisher.addObserver(observe)
    try:
        await directory.authenticate("hunter2-token")
        await directory.login("hunter2-key")
        crossbar.lie = lambda _method, _path: (200, b"<html>hunter2</html>")
        clock.advance(SETTINGS.cache_s + SETTINGS.max_stale_s)
        with pytest.raises(StorageUnavailable) as caught:
            await directory.authenticate("hunter2-token")
        await crossbar.stop()
        with pytest.raises(StorageUnavailable):
            await directory.authenticate("hunter2-token")
    finally:
        globalLogPublisher.removeObserver(observe)
    assert lines
    text = "\n".join([*lines, *crossbar.asked, str(caught.value), repr(vars(directory))])
    assert "hunter2" not in text
    assert API_KEY not in text


@pytest_twisted.ensureDeferred
async def test_it_is_made_of_the_configuration(crossbar: StandInCrossbar) -> None:
    config = Config(crossbar=Crossbar(uri=f"{crossbar.uri}/", api_key=API_KEY))
    directory = CrossbarDirectory.from_config(reactor, config)
    directory.startService()
    assert await directory.authenticate("token-of-customer") == OF_USER
    await directory.stopService()
    with pytest.raises(StorageUnavailable):
        await directory.authenticate("token-of-reseller")


async def _until(condition: Any) -> None:
    for _ in range(500):
        if condition():
            return
        waiting: Deferred[None] = deferLater(reactor, 0.002)
        await waiting
    raise AssertionError("the condition is not met")


@pytest_twisted.ensureDeferred
async def test_closing_it_gives_up_requests_without_the_service_running(
    crossbar: StandInCrossbar, directory: CrossbarDirectory
) -> None:
    crossbar.hold()
    asking = directory.account(CUSTOMER)
    await directory.close()
    with pytest.raises(StorageUnavailable):
        await asking


@pytest_twisted.ensureDeferred
async def test_crossbar_makes_a_call(directory: CrossbarDirectory, crossbar: StandInCrossbar) -> None:
    options = {"auto_answer": "false", "cid-name": "Ada & Bob", "timeout": "20"}
    ids = await directory.quickcall(CUSTOMER, "user", "known", "**2003", options)
    assert ids == ["%2A%2A2003-quickcall"]
    assert crossbar.asked[f"GET /accounts/{CUSTOMER}/users/known/quickcall/%2A%2A2003"] == 1
    assert await directory.quickcall(CUSTOMER, "device", "a/b", "1", {}) is None
    assert crossbar.asked[f"GET /accounts/{CUSTOMER}/devices/a%2Fb/quickcall/1"] == 1
    assert await directory.quickcall(FOREIGN, "user", "known", "1", {}) is None
    assert await directory.quickcall("../users", "user", "known", "1", {}) is None


@pytest_twisted.ensureDeferred
async def test_an_odd_answer_to_a_call(directory: CrossbarDirectory, crossbar: StandInCrossbar) -> None:
    await directory.account(CUSTOMER)

    def answer_with(status: int, body: bytes) -> None:
        crossbar.lie = lambda _method, _path: (status, body)

    for status, body in ((500, b"{}"), (200, b'{"status": "success"}'), (202, b'{"status": "error"}')):
        answer_with(status, body)
        with pytest.raises(StorageUnavailable):
            await directory.quickcall(CUSTOMER, "user", "known", "1", {})
    for data in (b'"x"', b'{"endpoints": [5, {"outbound_call_id": 5}]}', b"{}"):
        answer_with(202, b'{"status": "success", "data": ' + data + b"}")
        assert await directory.quickcall(CUSTOMER, "user", "known", "1", {}) == []


@pytest_twisted.ensureDeferred
async def test_a_call_whose_connection_is_lost_is_not_made_again(
    directory: CrossbarDirectory, crossbar: StandInCrossbar
) -> None:
    await directory.account(CUSTOMER)

    def lose(_method: str, path: str) -> tuple[int, bytes] | None:
        if "/quickcall/" in path:
            crossbar.abort_connections()
        return None

    crossbar.lie = lose
    with pytest.raises(StorageUnavailable):
        await directory.quickcall(CUSTOMER, "user", "known", "1", {})
    assert crossbar.asked[f"GET /accounts/{CUSTOMER}/users/known/quickcall/1"] == 1
    crossbar.lie = lambda _method, _path: None
    assert await directory.quickcall(CUSTOMER, "user", "known", "1", {}) == ["1-quickcall"]
