from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from zope.interface import alsoProvides

from kazoo_bridge.interfaces import (
    ALL_ACCOUNTS,
    BindingPlan,
    ITokenDoubts,
    Principal,
    TokenRestrictions,
    Topic,
    TopicFilter,
)
from kazoo_bridge.token_bucket import TokenBucket
from kazoo_bridge.websockets.sessions.authorization import AccessDenied, Authorizer
from kazoo_bridge.websockets.sessions.session import Session
from kazoo_bridge.websockets.subscriptions.subscription_index import Subscription
from tests.websockets import harness as live
from tests.websockets.fakes import CHILD, PARENT, STRANGER, SUPERADMIN, FakeDirectory

NOW = 1000.0


class Harness:
    """An authorizer over a `FakeDirectory`, and a session."""

    def __init__(self, account_id: str | None = None, *, close_on_expiry: bool = True) -> None:
        self.clock = Clock()
        self.clock.advance(NOW)
        self.directory = FakeDirectory()
        directory: Any = self.directory
        self.authorizer = Authorizer(self.clock, directory, close_on_expiry)
        self.session = Session("s", "192.0.2.1", "host", NOW, TokenBucket(1, 1.0), NOW)
        if account_id is not None:
            self.session.token, self.session.principal = account_id, self.directory.tokens[account_id]

    def authenticate(self, token: Any) -> str | None:
        """Returns the text of `AccessDenied`, None if the session is authenticated."""
        return _denied(self.authorizer.authenticate(self.session, token))

    def authorize(self, account_id: str) -> str | None:
        """Returns the text of `AccessDenied`, None if the session may act for the account."""
        return _denied(self.authorizer.authorize(self.session, account_id))

    def is_still_valid(self) -> bool:
        return bool(_result(self.authorizer.begin_check().is_still_valid(self.session)))

    def revoked_accounts(self) -> list[str]:
        return sorted(_result(self.authorizer.begin_check().revoked_accounts(self.session)))

    def subscribe(self, *account_ids: str) -> None:
        """Give the session a subscription for each account."""
        plan = BindingPlan((TopicFilter(Topic("e", "k"), "k"),))
        category: Any = None
        for account_id in account_ids:
            self.session.subscriptions[account_id, "b"] = Subscription("b", account_id, category, plan)


def _result(coroutine: Coroutine[Deferred[Any], Any, Any]) -> Any:
    results: list[Any] = []
    Deferred.fromCoroutine(coroutine).addBoth(results.append)
    return results[0]


def _denied(coroutine: Coroutine[Deferred[Any], Any, None]) -> str | None:
    failure = _result(coroutine)
    if failure is None:
        return None
    failure.trap(AccessDenied)
    return str(failure.value)


class TestAuthenticate:
    def test_a_valid_token_authenticates(self) -> None:
        its = Harness()
        assert its.authenticate(PARENT) is None
        assert (its.session.token, its.session.account_id) == (PARENT, PARENT)

    @pytest.mark.parametrize(
        ("token", "text"),
        [
            (None, "authentication token required"),
            (5, "invalid authentication token format"),
            ("", "failed to authenticate token (it is unknown, expired or revoked)"),
            ("unknown", "failed to authenticate token (it is unknown, expired or revoked)"),
        ],
    )
    def test_any_other_token_does_not(self, token: Any, text: str) -> None:
        its = Harness()
        assert its.authenticate(token) == text
        assert (its.session.token, its.session.principal) == (None, None)

    def test_a_directory_that_does_not_answer_denies(self) -> None:
        its = Harness()
        its.directory.unavailable = True
        assert its.authenticate(PARENT) == "the directory does not answer just now; try again later"
        assert its.session.principal is None

    @pytest.mark.parametrize("token", [None, 5, "unknown"])
    def test_an_authenticated_session_ignores_tokens_that_are_not_valid(self, token: Any) -> None:
        its = Harness(PARENT)
        assert its.authenticate(token) is None
        assert (its.session.token, its.session.account_id) == (PARENT, PARENT)

    def test_a_newer_token_of_the_same_account_renews_the_session(self) -> None:
        its = Harness(PARENT)
        its.directory.tokens["newer"] = renewed = Principal(PARENT, expires=NOW + 5)
        assert its.authenticate("newer") is None
        assert (its.session.token, its.session.principal) == ("newer", renewed)

    def test_another_accounts_token_changes_nothing(self) -> None:
        its = Harness(CHILD)
        assert its.authenticate(SUPERADMIN) is None
        assert (its.session.token, its.session.account_id) == (CHILD, CHILD)

    def test_a_directory_that_does_not_answer_takes_nothing_away(self) -> None:
        its = Harness(PARENT)
        its.directory.unavailable = True
        assert its.authenticate(PARENT) is None

    @pytest.mark.parametrize("token", [None, PARENT, "unknown", CHILD])
    def test_a_session_whose_token_is_revoked_is_refused_at_once(self, token: Any) -> None:
        its = Harness(PARENT)
        del its.directory.tokens[PARENT]
        assert its.authenticate(token) == "failed to authenticate token (it is unknown, expired or revoked)"

    def test_a_session_whose_token_has_expired_is_refused_at_once(self) -> None:
        its = Harness(PARENT)
        its.session.principal = Principal(PARENT, expires=NOW + 1)
        assert its.authenticate(None) is None
        its.clock.advance(1)
        assert its.authenticate(None) == "failed to authenticate token (it is unknown, expired or revoked)"

    def test_a_newer_token_replaces_one_that_is_revoked(self) -> None:
        its = Harness(PARENT)
        its.directory.tokens["newer"] = its.directory.tokens.pop(PARENT)
        assert its.authenticate("newer") is None
        assert its.authenticate(None) is None


class TestAuthorize:
    @pytest.mark.parametrize(
        ("account_id", "target", "text"),
        [
            (PARENT, PARENT, None),
            (PARENT, CHILD, None),
            (CHILD, PARENT, "unauthorized account id"),
            (PARENT, STRANGER, "unauthorized account id"),
            (PARENT, "0" * 32, "unauthorized account id"),
            (PARENT, ALL_ACCOUNTS, "unauthorized wildcard account id"),
            (SUPERADMIN, STRANGER, None),
            (SUPERADMIN, ALL_ACCOUNTS, None),
            (None, PARENT, "unauthorized account id"),
            (None, ALL_ACCOUNTS, "unauthorized wildcard account id"),
        ],
    )
    def test_which_accounts_a_session_may_act_for(
        self, account_id: str | None, target: str, text: str | None
    ) -> None:
        assert Harness(account_id).authorize(target) == text

    def test_a_directory_that_does_not_answer_denies(self) -> None:
        its = Harness(PARENT)
        its.directory.unavailable = True
        assert its.authorize(CHILD) == "the directory does not answer just now; try again later"


class TestIsStillValid:
    def test_a_valid_token(self) -> None:
        assert Harness(PARENT).is_still_valid()

    def test_a_session_that_is_not_authenticated_has_no_token_to_lose(self) -> None:
        assert Harness().is_still_valid()

    def test_a_session_without_a_token_is_not_checked(self) -> None:
        its = Harness(PARENT)
        its.session.token = None
        assert its.is_still_valid()

    def test_a_revoked_token(self) -> None:
        its = Harness(PARENT)
        del its.directory.tokens[PARENT]
        assert not its.is_still_valid()

    def test_a_token_expires_at_its_time_even_if_the_directory_still_knows_it(self) -> None:
        its = Harness(PARENT)
        its.session.principal = Principal(PARENT, expires=NOW + 1)
        assert its.is_still_valid()
        its.clock.advance(1)
        assert not its.is_still_valid()

    def test_a_session_may_outlive_the_expiry_of_its_token(self) -> None:
        its = Harness(PARENT, close_on_expiry=False)
        its.session.principal = Principal(PARENT, expires=NOW + 1)
        its.clock.advance(1)
        del its.directory.tokens[PARENT]
        assert its.is_still_valid()
        assert its.authenticate(None) is None
        assert not its.authorizer.is_overdue(its.session)

    def test_a_token_that_is_revoked_before_it_expires_ends_its_session_nevertheless(self) -> None:
        its = Harness(PARENT, close_on_expiry=False)
        its.session.principal = Principal(PARENT, expires=NOW + 1)
        del its.directory.tokens[PARENT]
        assert not its.is_still_valid()

    def test_a_directory_that_does_not_answer_takes_nothing_away(self) -> None:
        its = Harness(PARENT)
        its.directory.unavailable = True
        assert its.is_still_valid()


class TestRevokedAccounts:
    def test_accounts_that_are_gone_or_moved_away(self) -> None:
        its = Harness(PARENT)
        its.subscribe(PARENT, CHILD)
        assert its.revoked_accounts() == []
        its.directory.parents[CHILD] = None
        assert its.revoked_accounts() == [CHILD]
        del its.directory.parents[PARENT]
        assert its.revoked_accounts() == [PARENT, CHILD]

    def test_all_accounts_need_a_super_admin(self) -> None:
        its = Harness(SUPERADMIN)
        its.subscribe(ALL_ACCOUNTS)
        assert its.revoked_accounts() == []
        its.session.principal = Principal(PARENT)
        assert its.revoked_accounts() == [ALL_ACCOUNTS]

    def test_a_directory_that_does_not_answer_takes_nothing_away(self) -> None:
        its = Harness(PARENT)
        its.subscribe(STRANGER)
        its.directory.unavailable = True
        assert its.revoked_accounts() == []


class TestRightsCheck:
    def test_each_token_and_each_pair_of_accounts_is_asked_for_once(self) -> None:
        its = Harness(PARENT)
        its.subscribe(PARENT, CHILD)
        its.directory.asked.clear()
        check = its.authorizer.begin_check()
        for _ in range(10):
            assert _result(check.is_still_valid(its.session))
            assert _result(check.revoked_accounts(its.session)) == []
        assert sorted(its.directory.asked) == ["authenticate", "can_act_for", "can_act_for"]
        assert check.lookups == 0

    def test_answers_that_are_not_in_memory_are_counted(self) -> None:
        its = Harness(PARENT)
        its.subscribe(CHILD)
        answers: list[Deferred[Any]] = [Deferred(), Deferred()]
        directory: Any = its.directory
        directory.authenticate = lambda _token: answers[0]
        directory.can_act_for = lambda _principal, _account_id: answers[1]
        check = its.authorizer.begin_check()
        valid = Deferred.fromCoroutine(check.is_still_valid(its.session))
        revoked = Deferred.fromCoroutine(check.revoked_accounts(its.session))
        assert check.lookups == 2
        answers[0].callback(None)
        answers[1].callback(False)
        assert (valid.result, revoked.result) == (False, [CHILD])

    def test_a_directory_may_say_that_a_token_is_in_doubt(self) -> None:
        its = Harness()
        check = its.authorizer.begin_check()
        assert not check.is_in_doubt(its.session)
        its.session.token = "t"
        assert not check.is_in_doubt(its.session)
        its.directory.is_in_doubt = lambda token: token == "t"  # type: ignore[attr-defined]
        alsoProvides(its.directory, ITokenDoubts)
        assert check.is_in_doubt(its.session)
        its.session.token = "other"
        assert not check.is_in_doubt(its.session)


@pytest.mark.timeout(30)
class TestOverWebsockets:
    @pytest_twisted.ensureDeferred
    async def test_a_revoked_token_ends_its_sockets(self, harness: live.Harness) -> None:
        client, other = await harness.connect(), await harness.connect(live.CHILD)
        await client.request("subscribe", {"account_id": live.RESELLER, "binding": "call.*.*"})
        assert await harness.node.tokens.revoke(harness.tokens[live.RESELLER])
        notice = await client.notice()
        assert (notice["action"], notice["status"]) == ("reply", "error")
        assert notice["data"]["errors"][0].startswith("failed to authenticate token ")
        assert await client.close_code() == 4401
        assert (await other.request("ping"))["status"] == "success"
        assert not harness.websockets.fanout.index.topics

    @pytest_twisted.ensureDeferred
    async def test_messages_without_a_token_have_no_rights(self, harness: live.Harness) -> None:
        client = await harness.connect(None)
        for action in ("subscribe", "resume", "command"):
            client.send({"action": action, "data": {"account_id": live.RESELLER, "binding": "call.*.*"}})
            assert (await client.notice())["data"] == {"errors": ["authentication token required"]}
        (session,) = harness.sessions
        assert session.principal is None


def restricted(account_id: str, restrictions: Any) -> Principal:
    return Principal(account_id, restrictions=TokenRestrictions.parse(restrictions))


class TestRestrictions:
    """A token may do on a socket what its restrictions allow over REST."""

    @pytest.mark.parametrize(
        ("restrictions", "denied"),
        [
            ({"get": ["#"]}, False),
            ({"get": [f"accounts/{CHILD}/events"]}, False),
            ({"get": [f"accounts/{PARENT}/events"]}, True),
            ({"get": [f"accounts/{CHILD}/webhooks/#"]}, True),
            ({"post": ["#"]}, True),
            ({}, True),
            ("nonsense", True),
        ],
    )
    def test_subscribing_is_like_the_stream_of_events(self, restrictions: Any, denied: bool) -> None:
        its = Harness(PARENT)
        its.session.principal = restricted(PARENT, restrictions)
        assert (its.authorize(CHILD) is not None) is denied

    def test_the_text_begins_like_that_of_kazoo(self) -> None:
        its = Harness(PARENT)
        its.session.principal = restricted(PARENT, {})
        assert str(its.authorize(PARENT)).startswith("unauthorized account id")

    def test_restrictions_cannot_be_judged_for_all_accounts(self) -> None:
        its = Harness(SUPERADMIN)
        assert its.authorize(ALL_ACCOUNTS) is None
        its.session.principal = restricted(SUPERADMIN, {"*": ["#"]})
        assert its.authorize(ALL_ACCOUNTS) is not None

    def test_a_command_is_like_its_request(self) -> None:
        its = Harness(PARENT)
        its.session.principal = restricted(PARENT, {"post": [f"accounts/{PARENT}/channels/*"]})
        command = its.authorizer.authorize(its.session, PARENT, "POST", ("channels", "call-1"))
        assert _denied(command) is None
        for method, path in (("PUT", ("channels", "call-1")), ("POST", ("channels", "call-1", "x"))):
            assert _denied(its.authorizer.authorize(its.session, PARENT, method, path)) is not None

    def test_a_token_with_other_restrictions_replaces_none(self) -> None:
        its = Harness()
        its.directory.tokens |= {
            "all": Principal(PARENT),
            "some": restricted(PARENT, {"get": ["#"]}),
            "same": restricted(PARENT, {"get": ["#"]}),
        }
        assert its.authenticate("some") is None
        assert its.authenticate("all") is None
        assert its.session.token == "some"
        assert its.authenticate("same") is None
        assert its.session.token == "same"
