"""The local directory over stores that count and can be held up."""

from collections.abc import Collection
from typing import Any

import pytest
from attrs import frozen
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from zope.interface.verify import verifyObject

from kazoo_bridge.directory import local
from kazoo_bridge.directory.local import GONE_TTL, LocalDirectory, _digest
from kazoo_bridge.interfaces import Account, IDirectory, Principal, StorageUnavailable


@frozen
class Row:
    id: str
    parent_id: str | None = None
    name: str = ""
    realm: str = ""
    superadmin: bool = False


@frozen
class Token:
    token: str
    account_id: str
    expires: float | None = None


class Accounts:
    def __init__(self, *rows: Row) -> None:
        self.rows = {row.id: row for row in rows}

    def all(self) -> Deferred[list[Row]]:
        return succeed(list(self.rows.values()))

    def by_ids(self, account_ids: Collection[str]) -> Deferred[list[Row]]:
        return succeed([self.rows[one] for one in account_ids if one in self.rows])


class Tokens:
    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.kept: dict[str | None, Token] = {}
        self.keys: dict[str | None, str] = {}
        self.lookups = 0
        self.trouble: Exception | None = None
        self.held: Deferred[None] = succeed(None)

    def add(self, secret: str, account_id: str, expires: float | None = None) -> str:
        self.kept[_digest(secret)] = Token(secret, account_id, expires)
        return secret

    def create(self, account_id: str, ttl: float | None = None) -> Deferred[Token]:
        expires = None if ttl is None else self.clock.seconds() + ttl
        self.add("issued", account_id, expires)
        return succeed(Token("issued", account_id, expires))

    def lookup(self, digest: str) -> Deferred[Token | None]:
        self.lookups += 1
        found = self.kept.get(digest)
        if self.trouble is not None:
            return fail(self.trouble)
        answer: Deferred[Token | None] = Deferred()
        self.held.addCallback(lambda _: answer.callback(found))
        return answer

    def account_of_api_key(self, digest: str) -> Deferred[str | None]:
        return succeed(self.keys.get(digest))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def accounts() -> Accounts:
    return Accounts(
        Row("top", superadmin=True), Row("reseller", "top"), Row("customer", "reseller"), Row("other", "top")
    )


@pytest.fixture
def tokens(clock: Clock) -> Tokens:
    return Tokens(clock)


@pytest.fixture
def directory(clock: Clock, accounts: Accounts, tokens: Tokens) -> LocalDirectory:
    made = LocalDirectory(clock, accounts, tokens)
    now(Deferred.fromCoroutine(made.load()))
    return made


def now(deferred: Deferred[Any] | None) -> Any:
    results: list[Any] = []
    assert deferred is not None
    deferred.addCallback(results.append)
    assert results, "it has not fired"
    return results[0]


def test_it_is_a_directory(directory: LocalDirectory) -> None:
    assert verifyObject(IDirectory, directory)


def test_accounts(directory: LocalDirectory) -> None:
    assert now(directory.account("customer")) == Account("customer", "", "", ("reseller", "top"))
    assert directory.find("customer") == now(directory.account("customer"))
    assert now(directory.account("nobody")) is None
    assert directory.ancestors("customer") == ("reseller", "top")
    assert directory.ancestors("top") == ()
    assert directory.ancestors("nobody") is None
    assert now(directory.descendants("reseller")) == {"customer"}
    assert not directory.is_superadmin("customer")
    assert not directory.is_superadmin("nobody")


@pytest.mark.parametrize(
    ("who", "whom", "allowed"),
    [
        ("reseller", "reseller", True),
        ("reseller", "customer", True),
        ("reseller", "top", False),
        ("reseller", "other", False),
        ("reseller", "nobody", False),
        ("customer", "reseller", False),
        ("top", "customer", True),
        ("top", "nobody", True),
        ("nobody", "nobody", False),
        ("nobody", "customer", False),
    ],
)
def test_who_may(directory: LocalDirectory, who: str, whom: str, allowed: bool) -> None:
    assert now(directory.can_act_for(Principal(who), whom)) is allowed


def test_the_name_of_a_superadmin_that_is_none_helps_nobody(directory: LocalDirectory) -> None:
    assert now(directory.can_act_for(Principal("reseller", superadmin=True), "other")) is False


def test_a_token_is_looked_up_once(directory: LocalDirectory, tokens: Tokens) -> None:
    tokens.add("t", "top", 100.0)
    assert [now(directory.authenticate("t")) for _ in range(3)] == [Principal("top", True, 100.0)] * 3
    assert tokens.lookups == 1


def test_a_remembered_token_expires(directory: LocalDirectory, tokens: Tokens, clock: Clock) -> None:
    tokens.add("t", "customer", 100.0)
    assert now(directory.authenticate("t")) == Principal("customer", False, 100.0)
    clock.advance(99.9)
    assert now(directory.authenticate("t")) is not None
    clock.advance(0.1)
    assert now(directory.authenticate("t")) is None


@pytest.mark.parametrize("change", [("token", frozenset([_digest("t")])), ("*", frozenset())])
def test_a_revoked_token_is_forgotten_on_the_change(
    directory: LocalDirectory, tokens: Tokens, change: Any
) -> None:
    tokens.add("t", "customer")
    tokens.add("u", "customer")
    assert now(directory.authenticate("t")) is not None
    assert now(directory.authenticate("u")) is not None
    tokens.kept.pop(_digest("t"))
    directory.changed(*change)
    assert now(directory.authenticate("t")) is None
    assert now(directory.authenticate("u")) is not None


def test_a_token_revoked_while_it_was_looked_up_is_not_remembered(
    directory: LocalDirectory, tokens: Tokens
) -> None:
    tokens.add("t", "customer")
    tokens.held = Deferred()
    answer = directory.authenticate("t")
    tokens.kept.clear()
    directory.changed("token", frozenset([str(_digest("t"))]))
    tokens.held.callback(None)
    assert now(answer) is not None
    assert now(directory.authenticate("t")) is None


def test_an_unknown_token_is_asked_for_once_a_second(
    directory: LocalDirectory, tokens: Tokens, clock: Clock
) -> None:
    assert [now(directory.authenticate("t")) for _ in range(3)] == [None] * 3
    assert tokens.lookups == 1
    clock.advance(1)
    assert now(directory.authenticate("t")) is None
    assert tokens.lookups == 2


def test_a_new_token_is_known_as_soon_as_the_change_is(directory: LocalDirectory, tokens: Tokens) -> None:
    assert now(directory.authenticate("t")) is None
    tokens.add("t", "customer")
    assert now(directory.authenticate("t")) is None
    directory.changed("token", frozenset([str(_digest("t"))]))
    assert now(directory.authenticate("t")) == Principal("customer")


def test_memory_is_bounded(
    clock: Clock, accounts: Accounts, tokens: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "MAX_CACHED", 10)
    directory = LocalDirectory(clock, accounts, tokens)
    for number in range(30):
        now(directory.authenticate(f"unknown {number}"))
        assert now(directory.authenticate(tokens.add(f"known {number}", "customer"))) is not None
    assert len(directory._known) == len(directory._unknown) == 10


@pytest.mark.parametrize("secret", ["", "x" * 4097])
def test_what_cannot_be_a_secret_costs_nothing(
    directory: LocalDirectory, tokens: Tokens, secret: str
) -> None:
    assert now(directory.authenticate(secret)) is None
    assert now(directory.login(secret)) is None
    assert tokens.lookups == 0


@pytest.mark.parametrize("secret", ["x" * 4096, "\ud800", "ü\0"])
def test_odd_secrets_are_merely_unknown(directory: LocalDirectory, tokens: Tokens, secret: str) -> None:
    assert now(directory.authenticate(secret)) is None
    assert tokens.lookups == 1


def test_a_token_of_an_account_that_has_gone(
    directory: LocalDirectory, tokens: Tokens, accounts: Accounts
) -> None:
    tokens.add("t", "customer")
    assert now(directory.authenticate("t")) is not None
    del accounts.rows["customer"]
    now(directory.changed("account", frozenset(["customer"])))
    assert now(directory.authenticate("t")) is None
    assert now(directory.account("customer")) is None
    assert not now(directory.can_act_for(Principal("reseller"), "customer"))


def test_what_becomes_of_an_account_still_reaches_those_above_it_for_a_minute(
    directory: LocalDirectory, accounts: Accounts, clock: Clock
) -> None:
    del accounts.rows["customer"]
    now(directory.changed("account", frozenset(["customer"])))
    assert directory.ancestors("customer") == ("reseller", "top")
    clock.advance(GONE_TTL)
    assert directory.ancestors("customer") is None


def test_an_account_that_nobody_has_told_of_yet(
    directory: LocalDirectory, tokens: Tokens, accounts: Accounts
) -> None:
    accounts.rows |= {"new": Row("new", "customer"), "newer": Row("newer", "new")}
    tokens.add("t", "newer")
    assert now(directory.authenticate("t")) == Principal("newer")
    assert directory.ancestors("newer") == ("new", "customer", "reseller", "top")


def test_an_account_that_goes_while_it_is_fetched(
    directory: LocalDirectory, tokens: Tokens, accounts: Accounts
) -> None:
    tokens.add("t", "new")
    held: Deferred[list[Row]] = Deferred()
    by_ids, accounts.by_ids = accounts.by_ids, lambda _: held  # type: ignore[method-assign]
    answer = directory.authenticate("t")
    accounts.by_ids = by_ids  # type: ignore[method-assign]
    now(directory.changed("account", frozenset(["new"])))
    held.callback([Row("new")])
    assert now(answer) is None
    assert directory.find("new") is None


def test_an_account_that_changes(directory: LocalDirectory, tokens: Tokens, accounts: Accounts) -> None:
    tokens.add("t", "customer")
    assert now(directory.authenticate("t")) == Principal("customer")
    accounts.rows["customer"] = Row("customer", "other", superadmin=True)
    now(directory.changed("account", frozenset(["customer"])))
    assert now(directory.authenticate("t")) == Principal("customer", superadmin=True)
    assert directory.ancestors("customer") == ("other", "top")


def test_other_changes_concern_it_not(directory: LocalDirectory) -> None:
    assert directory.changed("hook", frozenset(["x"])) is None
    assert directory.changed("api_key", frozenset(["x"])) is None


def test_trouble_is_not_remembered(directory: LocalDirectory, tokens: Tokens) -> None:
    tokens.add("t", "customer")
    tokens.trouble = StorageUnavailable("locked")
    failures: list[Any] = []
    directory.authenticate("t").addErrback(failures.append)
    assert failures[0].check(StorageUnavailable)
    tokens.trouble = None
    assert now(directory.authenticate("t")) == Principal("customer")


def test_login(directory: LocalDirectory, tokens: Tokens, clock: Clock) -> None:
    clock.advance(50)
    tokens.keys[_digest("key")] = "top"
    assert now(directory.login("key")) == ("issued", Principal("top", True, 3650.0))
    assert now(directory.authenticate("issued")) == Principal("top", True, 3650.0)
    assert now(directory.login("issued")) is None
    tokens.keys[_digest("orphan")] = "nobody"
    assert now(directory.login("orphan")) is None
