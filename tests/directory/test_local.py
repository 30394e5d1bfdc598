"""The local directory over fake stores that count lookups and can be delayed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, TypeVar

import pytest
from attrs import frozen
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from zope.interface import implementer
from zope.interface.verify import verifyObject

from kazoo_bridge.directory import local
from kazoo_bridge.directory.dialling import Dialling
from kazoo_bridge.directory.local import GONE_TTL, UNKNOWN_TTL, LocalDirectory
from kazoo_bridge.interfaces import (
    UNKNOWN_PEOPLE,
    Account,
    IDirectory,
    IPeople,
    People,
    Principal,
    StorageUnavailable,
    TokenRestrictions,
    User,
)
from tests.directory.fakes import FakeAccountRow

T = TypeVar("T")


@frozen
class Token:
    token: str
    account_id: str
    expires: float | None = None
    restrictions: str | None = None


class FakeAccounts:
    def __init__(self, *rows: FakeAccountRow) -> None:
        self.rows = {row.id: row for row in rows}
        self.reads = 0
        #: Answers that the next reads give instead, and that the test fires.
        self.delayed: list[Deferred[list[FakeAccountRow]]] = []

    def all(self) -> Deferred[list[FakeAccountRow]]:
        return succeed(list(self.rows.values()))

    def by_ids(self, account_ids: Collection[str]) -> Deferred[list[FakeAccountRow]]:
        self.reads += 1
        if self.delayed:
            return self.delayed.pop(0)
        return succeed([self.rows[one] for one in account_ids if one in self.rows])


class FakeNumbers:
    def __init__(self) -> None:
        self.by_number: dict[str, str] = {}

    def all(self) -> Deferred[dict[str, str]]:
        return succeed(dict(self.by_number))

    def owners(self, numbers: Collection[str]) -> Deferred[dict[str, str]]:
        return succeed({one: self.by_number[one] for one in numbers if one in self.by_number})


class FakeTokens:
    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.stored: dict[str, Token] = {}
        self.keys: dict[str, str] = {}
        self.lookups = 0
        self.error: Exception | None = None
        #: Lookups wait for it, with the result as it was when they began.
        self.delay: Deferred[None] = succeed(None)

    def digest(self, secret: str) -> str:
        return f"digest of {secret}"

    def add(
        self, secret: str, account_id: str, expires: float | None = None, restrictions: str | None = None
    ) -> str:
        self.stored[self.digest(secret)] = Token(secret, account_id, expires, restrictions)
        return secret

    def remove(self, secret: str) -> None:
        del self.stored[self.digest(secret)]

    def log_in(self, api_key_digest: str, account_id: str, ttl: float) -> Deferred[Token]:
        assert self.keys[api_key_digest] == account_id
        expires = self.clock.seconds() + ttl
        self.add("issued", account_id, expires)
        return succeed(Token("issued", account_id, expires))

    def lookup(self, digest: str) -> Deferred[Token | None]:
        self.lookups += 1
        if self.error is not None:
            return fail(self.error)
        found = self.stored.get(digest)
        answer: Deferred[Token | None] = Deferred()
        self.delay.addCallback(lambda _: answer.callback(found))
        return answer

    def revoke(self, token: str) -> Deferred[bool]:
        return succeed(self.stored.pop(self.digest(token), None) is not None)

    def account_for_api_key(self, digest: str) -> Deferred[str | None]:
        return succeed(self.keys.get(digest))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def accounts() -> FakeAccounts:
    return FakeAccounts(
        FakeAccountRow("top", superadmin=True),
        FakeAccountRow("reseller", "top"),
        FakeAccountRow("customer", "reseller"),
        FakeAccountRow("other", "top"),
    )


@pytest.fixture
def tokens(clock: Clock) -> FakeTokens:
    return FakeTokens(clock)


@pytest.fixture
def numbers() -> FakeNumbers:
    return FakeNumbers()


@pytest.fixture
def directory(
    clock: Clock, accounts: FakeAccounts, tokens: FakeTokens, numbers: FakeNumbers
) -> LocalDirectory:
    directory = LocalDirectory(clock, accounts, tokens, numbers)
    now(Deferred.fromCoroutine(directory.load()))
    return directory


def now(deferred: Deferred[T] | None) -> T:
    results: list[T] = []
    assert deferred is not None
    deferred.addCallback(results.append)
    assert results, "it has not fired"
    return results[0]


def token_change(*secrets: str) -> tuple[str, frozenset[str]]:
    return "token", frozenset(f"digest of {secret}" for secret in secrets)


def account_change(*account_ids: str) -> tuple[str, frozenset[str]]:
    return "account", frozenset(account_ids)


def test_it_implements_the_interface(directory: LocalDirectory) -> None:
    assert verifyObject(IDirectory, directory)


# -- accounts


def test_accounts_are_in_memory(directory: LocalDirectory, accounts: FakeAccounts) -> None:
    assert now(directory.account("customer")) == Account("customer", "", "", ("reseller", "top"))
    assert now(directory.account("unknown")) is None
    assert directory.ancestors("customer") == ("reseller", "top")
    assert directory.ancestors("top") == ()
    assert directory.ancestors("unknown") is None
    assert now(directory.descendants("reseller")) == {"customer"}
    assert accounts.reads == 0


@pytest.mark.parametrize(("account_id", "expected"), [("top", True), ("customer", False), ("unknown", False)])
def test_superadmins(directory: LocalDirectory, account_id: str, expected: bool) -> None:
    assert directory.is_superadmin(account_id) is expected


@pytest.mark.parametrize(
    ("actor", "account_id", "allowed"),
    [
        ("reseller", "reseller", True),
        ("reseller", "customer", True),
        ("reseller", "top", False),
        ("reseller", "other", False),
        ("reseller", "unknown", False),
        ("customer", "reseller", False),
        ("top", "customer", True),
        ("top", "unknown", True),
        ("unknown", "unknown", False),
        ("unknown", "customer", False),
    ],
)
def test_an_account_may_act_for_itself_and_its_descendants(
    directory: LocalDirectory, actor: str, account_id: str, allowed: bool
) -> None:
    assert now(directory.can_act_for(Principal(actor), account_id)) is allowed


def test_a_principal_is_a_superadmin_only_while_its_account_is(directory: LocalDirectory) -> None:
    assert now(directory.can_act_for(Principal("reseller", superadmin=True), "other")) is False


def test_a_deleted_account_can_no_longer_be_acted_for(
    directory: LocalDirectory, accounts: FakeAccounts
) -> None:
    del accounts.rows["customer"]
    now(directory.on_change(*account_change("customer")))
    assert now(directory.account("customer")) is None
    assert not now(directory.can_act_for(Principal("reseller"), "customer"))


def test_a_deleted_account_keeps_its_ancestors_for_a_minute(
    directory: LocalDirectory, accounts: FakeAccounts, clock: Clock
) -> None:
    clock.advance(1000)
    del accounts.rows["customer"]
    now(directory.on_change(*account_change("customer", "reseller")))
    clock.advance(GONE_TTL - 0.1)
    assert directory.ancestors("customer") == ("reseller", "top")
    clock.advance(0.1)
    assert directory.ancestors("customer") is None
    assert directory.ancestors("reseller") == ("top",)


def test_an_account_that_changes(
    directory: LocalDirectory, tokens: FakeTokens, accounts: FakeAccounts
) -> None:
    tokens.add("t", "customer")
    assert now(directory.authenticate("t")) == Principal("customer")
    accounts.rows["customer"] = FakeAccountRow("customer", "other", superadmin=True)
    now(directory.on_change(*account_change("customer")))
    assert now(directory.authenticate("t")) == Principal("customer", superadmin=True)
    assert directory.ancestors("customer") == ("other", "top")


def test_the_tokens_of_a_disabled_account_are_refused_until_it_is_enabled(
    directory: LocalDirectory, tokens: FakeTokens, accounts: FakeAccounts
) -> None:
    tokens.add("t", "customer")
    tokens.keys["key"] = "customer"
    principal = now(directory.authenticate("t"))
    assert principal is not None
    revision = directory.rights_revision
    accounts.rows["customer"] = FakeAccountRow("customer", "reseller", superadmin=True, enabled=False)
    now(directory.on_change(*account_change("customer")))
    assert directory.rights_revision > revision
    assert now(directory.authenticate("t")) is None
    assert now(directory.login("key")) is None
    assert not now(directory.can_act_for(principal, "customer"))
    assert not directory.is_superadmin("customer")
    # The accounts above may still act for it.
    assert now(directory.can_act_for(Principal("reseller"), "customer"))
    account = now(directory.account("customer"))
    assert account is not None
    assert not account.enabled
    accounts.rows["customer"] = FakeAccountRow("customer", "reseller")
    now(directory.on_change(*account_change("customer")))
    assert now(directory.authenticate("t")) == principal


# -- numbers


def test_numbers_are_followed(directory: LocalDirectory, numbers: FakeNumbers) -> None:
    assert directory.account_for_number("1234") is None
    numbers.by_number = {"1234": "customer", "5678": "other"}
    now(directory.on_change("number", frozenset(["1234"])))
    assert directory.account_for_number("1234") == "customer"
    assert directory.account_for_number("5678") is None
    numbers.by_number = {"5678": "other"}
    now(directory.on_change("number", frozenset(["1234"])))
    assert directory.account_for_number("1234") is None
    now(directory.on_change("*", frozenset()))
    assert directory.account_for_number("5678") == "other"


# -- tokens


def test_a_token_is_looked_up_once(directory: LocalDirectory, tokens: FakeTokens) -> None:
    tokens.add("t", "top", 100.0)
    assert [now(directory.authenticate("t")) for _ in range(3)] == [Principal("top", True, 100.0)] * 3
    assert tokens.lookups == 1
    lookups = directory.cache_lookups["local_tokens"]
    assert (lookups.hits, lookups.misses) == (2, 1)


def test_a_cached_token_expires(directory: LocalDirectory, tokens: FakeTokens, clock: Clock) -> None:
    tokens.add("t", "customer", 100.0)
    assert now(directory.authenticate("t")) == Principal("customer", False, 100.0)
    clock.advance(99.9)
    assert now(directory.authenticate("t")) is not None
    clock.advance(0.1)
    tokens.remove("t")
    assert now(directory.authenticate("t")) is None


@pytest.mark.parametrize("change", [token_change("t"), ("*", frozenset())])
def test_a_revoked_token_is_refused_after_the_change(
    directory: LocalDirectory, tokens: FakeTokens, change: tuple[str, frozenset[str]]
) -> None:
    tokens.add("t", "customer")
    tokens.add("u", "customer")
    assert now(directory.authenticate("t")) is not None
    assert now(directory.authenticate("u")) is not None
    tokens.remove("t")
    directory.on_change(*change)
    assert now(directory.authenticate("t")) is None
    assert now(directory.authenticate("u")) is not None


def test_a_change_drops_the_changed_tokens_only(directory: LocalDirectory, tokens: FakeTokens) -> None:
    for secret in ("t", "u"):
        tokens.add(secret, "customer")
        now(directory.authenticate(secret))
    directory.on_change(*token_change("t"))
    now(directory.authenticate("u"))
    assert tokens.lookups == 2
    now(directory.authenticate("t"))
    assert tokens.lookups == 3


@pytest.mark.parametrize(
    ("change", "counts"),
    [
        (token_change("t"), True),
        (token_change("never used"), False),
        (account_change("customer"), True),
        (("*", frozenset()), True),
        (("number", frozenset(["1"])), False),
    ],
)
def test_changes_that_may_end_rights_are_counted(
    directory: LocalDirectory, tokens: FakeTokens, change: tuple[str, frozenset[str]], counts: bool
) -> None:
    tokens.add("t", "customer")
    now(directory.authenticate("t"))
    before = directory.rights_revision
    directory.on_change(*change)
    assert (directory.rights_revision != before) is counts


@pytest.mark.parametrize("change", [token_change("t"), account_change("other"), ("*", frozenset())])
def test_a_token_that_is_revoked_during_its_lookup_is_not_cached(
    directory: LocalDirectory, tokens: FakeTokens, change: tuple[str, frozenset[str]]
) -> None:
    tokens.add("t", "customer")
    tokens.delay = Deferred()
    principal = directory.authenticate("t")
    tokens.remove("t")
    directory.on_change(*change)
    tokens.delay.callback(None)
    assert now(principal) is not None
    assert now(directory.authenticate("t")) is None


def test_a_token_that_is_created_during_its_lookup_is_not_cached_as_unknown(
    directory: LocalDirectory, tokens: FakeTokens
) -> None:
    tokens.delay = Deferred()
    principal = directory.authenticate("t")
    tokens.add("t", "customer")
    directory.on_change(*token_change("t"))
    tokens.delay.callback(None)
    assert now(principal) is None
    assert now(directory.authenticate("t")) == Principal("customer")


def test_a_token_that_expires_during_its_lookup_is_refused(
    directory: LocalDirectory, tokens: FakeTokens, clock: Clock
) -> None:
    tokens.add("t", "customer", 100.0)
    tokens.add("longer", "customer", 100.1)
    tokens.delay = Deferred()
    principals = [directory.authenticate("t"), directory.authenticate("longer")]
    clock.advance(100)
    tokens.delay.callback(None)
    assert [now(one) for one in principals] == [None, Principal("customer", False, 100.1)]


def test_an_unknown_token_is_looked_up_once_a_second(
    directory: LocalDirectory, tokens: FakeTokens, clock: Clock
) -> None:
    clock.advance(1000)
    assert [now(directory.authenticate("t")) for _ in range(3)] == [None] * 3
    clock.advance(UNKNOWN_TTL - 0.1)
    assert now(directory.authenticate("t")) is None
    assert tokens.lookups == 1
    clock.advance(0.1)
    assert now(directory.authenticate("t")) is None
    assert tokens.lookups == 2


@pytest.mark.parametrize("change", [token_change("t"), account_change("other"), ("*", frozenset())])
def test_a_new_token_is_accepted_after_the_change(
    directory: LocalDirectory, tokens: FakeTokens, change: tuple[str, frozenset[str]]
) -> None:
    assert now(directory.authenticate("t")) is None
    tokens.add("t", "customer")
    assert now(directory.authenticate("t")) is None
    directory.on_change(*change)
    assert now(directory.authenticate("t")) == Principal("customer")


def test_the_cache_is_bounded(
    clock: Clock,
    accounts: FakeAccounts,
    tokens: FakeTokens,
    numbers: FakeNumbers,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(local, "MAX_CACHED", 10)
    directory = LocalDirectory(clock, accounts, tokens, numbers)
    for number in range(11):
        now(directory.authenticate(f"unknown {number}"))
        assert now(directory.authenticate(tokens.add(f"known {number}", "customer"))) is not None
    for kind in ("unknown", "known"):
        lookups = tokens.lookups
        for number in range(1, 11):
            now(directory.authenticate(f"{kind} {number}"))
        assert tokens.lookups == lookups
        now(directory.authenticate(f"{kind} 0"))
        assert tokens.lookups == lookups + 1


@pytest.mark.parametrize("secret", ["", "x" * 4097])
def test_a_text_that_cannot_be_a_secret_is_refused_without_a_lookup(
    directory: LocalDirectory, tokens: FakeTokens, secret: str
) -> None:
    tokens.add(secret, "customer")
    tokens.keys[tokens.digest(secret)] = "customer"
    assert now(directory.authenticate(secret)) is None
    assert now(directory.login(secret)) is None
    assert tokens.lookups == 0


@pytest.mark.parametrize("secret", ["x", "x" * 4096])
def test_a_text_that_may_be_a_secret_is_looked_up(
    directory: LocalDirectory, tokens: FakeTokens, secret: str
) -> None:
    assert now(directory.authenticate(secret)) is None
    assert tokens.lookups == 1


def test_a_token_of_a_deleted_account_is_refused(
    directory: LocalDirectory, tokens: FakeTokens, accounts: FakeAccounts
) -> None:
    tokens.add("t", "customer")
    tokens.add("u", "other")
    assert now(directory.authenticate("t")) is not None
    assert now(directory.authenticate("u")) is not None
    del accounts.rows["customer"]
    now(directory.on_change(*account_change("customer")))
    assert now(directory.authenticate("t")) is None
    lookups = tokens.lookups
    assert now(directory.authenticate("u")) is not None
    assert tokens.lookups == lookups


def test_a_token_of_an_account_whose_creation_is_not_reported_yet(
    directory: LocalDirectory, tokens: FakeTokens, accounts: FakeAccounts
) -> None:
    accounts.rows |= {"new": FakeAccountRow("new", "customer"), "newer": FakeAccountRow("newer", "new")}
    tokens.add("t", "newer")
    assert now(directory.authenticate("t")) == Principal("newer")
    assert directory.ancestors("newer") == ("new", "customer", "reseller", "top")
    assert accounts.reads == 2


def test_an_account_that_is_deleted_while_it_is_read(
    directory: LocalDirectory, tokens: FakeTokens, accounts: FakeAccounts
) -> None:
    tokens.add("t", "new")
    delayed: Deferred[list[FakeAccountRow]] = Deferred()
    accounts.delayed = [delayed]
    principal = directory.authenticate("t")
    now(directory.on_change(*account_change("new")))
    delayed.callback([FakeAccountRow("new")])
    assert now(principal) is None
    assert now(directory.account("new")) is None


@pytest.mark.parametrize("kind", ["hook", "api_key", "something new"])
def test_other_changes_are_ignored(directory: LocalDirectory, kind: str) -> None:
    assert directory.on_change(kind, frozenset(["x"])) is None


def test_a_failed_lookup_is_not_cached(directory: LocalDirectory, tokens: FakeTokens) -> None:
    tokens.add("t", "customer")
    tokens.error = StorageUnavailable("locked")
    failures: list[Any] = []
    directory.authenticate("t").addErrback(failures.append)
    assert failures[0].check(StorageUnavailable)
    tokens.error = None
    assert now(directory.authenticate("t")) == Principal("customer")


def test_an_api_key_gets_a_token_for_an_hour(
    directory: LocalDirectory, tokens: FakeTokens, clock: Clock
) -> None:
    clock.advance(50)
    tokens.keys[tokens.digest("key")] = "top"
    assert now(directory.login("key")) == ("issued", Principal("top", True, 3650.0))
    assert now(directory.authenticate("issued")) == Principal("top", True, 3650.0)
    assert now(directory.login("issued")) is None


def test_an_api_key_of_a_deleted_account_gets_nothing(directory: LocalDirectory, tokens: FakeTokens) -> None:
    tokens.keys[tokens.digest("orphan")] = "unknown"
    assert now(directory.login("orphan")) is None
    assert tokens.stored == {}


def test_logging_out_ends_a_token_at_once(directory: LocalDirectory, tokens: FakeTokens) -> None:
    secret = tokens.add("secret", "customer")
    assert directory.authenticate(secret).result == Principal("customer")
    revision = directory.rights_revision
    assert directory.log_out(secret).result is True
    assert directory.authenticate(secret).result is None
    assert directory.rights_revision != revision
    assert directory.log_out(secret).result is False
    assert directory.log_out("x" * 5000).result is False


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, None),
        ('{"get": ["#"]}', TokenRestrictions.parse({"get": ["#"]})),
        ("nonsense", TokenRestrictions()),
    ],
)
def test_restrictions_of_a_token(
    directory: LocalDirectory, tokens: FakeTokens, text: str | None, expected: TokenRestrictions | None
) -> None:
    secret = tokens.add("secret", "customer", restrictions=text)
    assert directory.authenticate(secret).result == Principal("customer", restrictions=expected)


def test_numbers_may_be_dialled_as_in_the_default_region(
    clock: Clock, accounts: FakeAccounts, tokens: FakeTokens, numbers: FakeNumbers
) -> None:
    directory = LocalDirectory(clock, accounts, tokens, numbers, dialling=Dialling("US"))
    assert directory.account_for_number("4158867900") is None
    numbers.by_number = {"14158867900": "customer", "4722555019": "other"}
    now(directory.on_change("*", frozenset()))
    for dialled in ("4158867900", "14158867900", "+14158867900"):
        assert directory.account_for_number(dialled) == "customer"
    # Carriers leave out the +, but a number with + is never a national one.
    assert directory.account_for_number("4722555019") == "other"
    assert directory.account_for_number("+4158867900") is None


@implementer(IPeople)
class FakePeople:
    """One user in each account."""

    def people(self, account_id: str) -> Deferred[People]:
        return succeed(People({"u1": User("u1", account_id)}))

    def member_document(
        self, account_id: str, kind: str, member_id: str
    ) -> Deferred[Mapping[str, Any] | None]:
        return succeed({"id": member_id, "kind": kind})


def test_without_a_source_of_people_none_are_known(directory: LocalDirectory) -> None:
    assert directory.people("top").result is UNKNOWN_PEOPLE
    assert directory.member_document("top", "user", "u1").result is None


def test_a_source_knows_the_people_of_local_accounts_alone(directory: LocalDirectory, clock: Clock) -> None:
    with_people = LocalDirectory(
        clock, FakeAccounts(FakeAccountRow("a")), FakeTokens(clock), FakeNumbers(), people=FakePeople()
    )
    now(Deferred.fromCoroutine(with_people.load()))
    assert now(with_people.people("a")).users["u1"].first_name == "a"
    assert with_people.member_document("a", "user", "u1").result == {"id": "u1", "kind": "user"}
    assert with_people.people("f" * 32).result is UNKNOWN_PEOPLE
    assert with_people.member_document("f" * 32, "user", "u1").result is None
