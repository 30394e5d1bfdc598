"""The directory over the databases of a small cluster; what CouchDB does is in `test_accounts`, too."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred
from zope.interface.verify import verifyObject

from kazoo_bridge.couchdb.names import ACCOUNTS, SYSTEM_AUTH, SYSTEM_CONFIG, account_database
from kazoo_bridge.directory.couchdb import directory as directory_module
from kazoo_bridge.interfaces import Account, IDirectory, ITokenDoubts, Principal, TokenRestrictions
from tests.couchdb.kazoo_cluster import (
    CHILD,
    CUSTOMER,
    DEVICE,
    KEY_ID,
    MASTER,
    NUMBER,
    RESELLER,
    SIBLING,
    SYSTEM_SECRET,
    USER,
    account_document,
)
from tests.couchdb.kazoo_tokens import identity_signature
from tests.directory.couchdb.harness import NOW, DirectoryHarness, error_of, result_of

CUSTOMER_DB = account_database(CUSTOMER)


def test_it_is_a_directory() -> None:
    verifyObject(IDirectory, DirectoryHarness(started=False).directory)


class TestTokens:
    def test_a_token_of_each_kind_of_identity_is_good(self) -> None:
        harness = DirectoryHarness()
        kinds: list[dict[str, Any]] = [{}, {"owner_id": USER}, {"owner_id": USER, "device_id": DEVICE}]
        for claims in kinds:
            principal = harness.principal(harness.cluster.token(**claims))
            assert principal == Principal(CUSTOMER, False, NOW + 3600, user_id=claims.get("owner_id"))
        assert harness.principal(harness.cluster.token(MASTER)) == Principal(MASTER, True, NOW + 3600)
        harness.stop()

    @pytest.mark.parametrize("alg", ["RS256", "RS384", "RS512"])
    def test_every_algorithm_of_kazoo(self, alg: str) -> None:
        harness = DirectoryHarness()
        assert not harness.refused(harness.cluster.token(alg=alg))
        harness.stop()

    def test_a_token_without_the_signature_of_an_identity_is_good_as_in_kazoo(self) -> None:
        harness = DirectoryHarness()
        assert not harness.refused(harness.cluster.token(identity_sig=None))
        harness.stop()

    @pytest.mark.parametrize(
        "options",
        [
            {"key": "other"},
            {"kid": "9" * 32},
            {"exp": int(NOW)},
            {"exp": None},
            {"iss": "other"},
            {"account_id": "9" * 32},
            {"owner_id": "9" * 32},
            {"owner_id": USER, "identity_sig": identity_signature(USER, "guess", SYSTEM_SECRET)},
            {"identity_sig": identity_signature(CUSTOMER, "", SYSTEM_SECRET)},
            # An identity of another account.
            {"account_id": SIBLING, "owner_id": USER},
            # A document of the account that is no identity, but exists.
            {"act_as": {"account_id": SIBLING, "owner_id": USER}},
            {"act_as": {"account_id": MASTER, "owner_id": USER}},
        ],
        ids=str,
    )
    def test_what_is_not_wholly_right_is_refused(self, options: dict[str, Any]) -> None:
        harness = DirectoryHarness()
        assert harness.refused(harness.cluster.token(**options))
        harness.stop()

    def test_a_token_may_act_as_an_account_below(self) -> None:
        harness = DirectoryHarness()
        token = harness.cluster.token(RESELLER, act_as={"account_id": CUSTOMER, "owner_id": USER})
        assert harness.principal(token) == Principal(CUSTOMER, False, NOW + 3600, user_id=USER)
        harness.cluster.save_account(CUSTOMER, pvt_tree=[MASTER])
        assert harness.refused(token)
        harness.stop()

    def test_a_good_token_costs_one_read_of_each(self) -> None:
        harness = DirectoryHarness()
        token = harness.cluster.token(owner_id=USER)
        before = len(harness.couch.asked)
        for _ in range(5):
            assert not harness.refused(token)
        lookups = harness.directory.cache_lookups["couchdb_tokens"]
        assert (lookups.hits, lookups.misses) == (4, 1)
        asked = harness.couch.asked[before:]
        assert sorted(asked) == [
            f"GET {CUSTOMER_DB}/{USER}",
            f"GET system_auth/{KEY_ID}/private_key.pem",
            "GET system_config/auth",
        ]
        harness.stop()

    def test_a_token_ends_with_its_time(self) -> None:
        harness = DirectoryHarness()
        token = harness.cluster.token()
        assert not harness.refused(token)
        harness.clock.advance(3600)
        assert harness.refused(token)

    def test_several_callers_share_one_verification(self) -> None:
        harness = DirectoryHarness()
        token = harness.cluster.token()
        harness.couch.frozen = True
        answers = [harness.directory.authenticate(token) for _ in range(3)]
        assert len(harness.directory._verifying) == 1
        harness.clock.advance(11)
        for answer in answers:
            assert "no whole answer" in error_of(answer)
        harness.couch.frozen = False
        assert not harness.refused(token)

    def test_the_number_of_verifications_is_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(directory_module, "MAX_VERIFYING", 2)
        harness = DirectoryHarness()
        harness.couch.frozen = True
        tokens = [harness.cluster.token(number=number) for number in range(3)]
        waiting: list[Deferred[Any]] = [harness.directory.authenticate(token) for token in tokens[:2]]
        assert "too many tokens" in error_of(harness.directory.authenticate(tokens[2]))
        harness.clock.advance(11)
        for one in waiting:
            error_of(one)
        harness.stop()

    def test_unknown_keys_do_not_ask_couchdb_without_bounds(self) -> None:
        harness = DirectoryHarness()
        before = harness.couch.count("GET system_auth/")
        for number in range(100):
            answer = harness.directory.authenticate(harness.cluster.token(kid=f"{number:032x}"))
            answer.addErrback(lambda _: None)
        assert harness.couch.count("GET system_auth/") - before <= 20
        harness.stop()

    def test_unknown_keys_do_not_keep_out_the_cluster_s_own(self) -> None:
        harness = DirectoryHarness()
        unknown = [harness.cluster.token(kid=f"{number:032x}") for number in range(40)]
        for token in unknown[:-1]:
            harness.directory.authenticate(token).addErrback(lambda _: None)
        assert "too many unknown" in error_of(harness.directory.authenticate(unknown[-1]))
        assert not harness.refused(harness.cluster.token())
        harness.stop()


class TestRevocation:
    @pytest.mark.parametrize("identity", [{}, {"owner_id": USER}, {"device_id": DEVICE, "owner_id": USER}])
    def test_a_reset_secret_ends_the_token_within_seconds(self, identity: dict[str, Any]) -> None:
        harness = DirectoryHarness()
        token = harness.cluster.token(**identity)
        assert not harness.refused(token)
        revision = harness.directory.rights_revision
        document_id = identity.get("device_id") or identity.get("owner_id") or CUSTOMER
        harness.couch.update(CUSTOMER_DB, document_id, pvt_signature_secret="new")
        harness.advance(5)
        assert harness.refused(token)
        assert harness.directory.rights_revision != revision
        harness.stop()

    def test_a_message_of_kazoo_ends_it_at_once(self) -> None:
        harness = DirectoryHarness()
        token = harness.cluster.token(owner_id=USER)
        assert not harness.refused(token)
        harness.couch.update(CUSTOMER_DB, USER, pvt_signature_secret="new")
        assert not harness.refused(token)
        revision = harness.directory.rights_revision
        harness.announce(CUSTOMER_DB, USER)
        assert harness.directory.rights_revision != revision
        assert harness.refused(token)
        harness.stop()

    def test_a_message_about_another_document_costs_nothing(self) -> None:
        harness = DirectoryHarness()
        harness.principal(harness.cluster.token(owner_id=USER))
        revision, asked = harness.directory.rights_revision, len(harness.couch.asked)
        harness.announce(CUSTOMER_DB, "3" * 32)
        harness.announce("webhooks", USER)
        harness.announce("numbers/+1415", USER)
        harness.principal(harness.cluster.token(owner_id=USER))
        assert (harness.directory.rights_revision, len(harness.couch.asked)) == (revision, asked)
        harness.stop()

    def test_missed_messages_end_the_trust_in_every_secret(self) -> None:
        harness = DirectoryHarness()
        token = harness.cluster.token(owner_id=USER)
        assert not harness.refused(token)
        harness.couch.update(CUSTOMER_DB, USER, pvt_signature_secret="new")
        harness.directory.on_configuration_missed()
        assert harness.refused(token)
        harness.stop()

    def test_after_missed_messages_tokens_serve_on_while_couchdb_is_away(self) -> None:
        harness = DirectoryHarness()
        token, other = (harness.cluster.token(owner_id=user) for user in (USER, DEVICE))
        assert not harness.refused(token)
        revision = harness.directory.rights_revision
        harness.go_away()
        harness.directory.on_configuration_missed()
        assert harness.directory.rights_revision != revision
        for _ in range(3):
            assert not harness.refused(token)
            harness.advance(10)
        assert "CouchDB at" in error_of(harness.directory.authenticate(other))
        harness.couch.away = False
        harness.couch.update(CUSTOMER_DB, USER, pvt_signature_secret="new")
        harness.advance(10)
        assert harness.refused(token)
        harness.stop()

    @pytest.mark.parametrize("change", [{"enabled": False}, {"pvt_deleted": True}])
    def test_a_disabled_or_deleted_user_ends_the_token(self, change: dict[str, Any]) -> None:
        harness = DirectoryHarness()
        token = harness.cluster.token(owner_id=USER)
        assert not harness.refused(token)
        harness.couch.update(CUSTOMER_DB, USER, **change)
        harness.announce(CUSTOMER_DB, USER)
        assert harness.refused(token)
        harness.stop()

    @pytest.mark.parametrize(
        "change", [{"pvt_enabled": False}, {"pvt_deleted": True}, {"pvt_trial_expires": 1}]
    )
    def test_a_disabled_or_deleted_account_ends_its_tokens_at_once(self, change: dict[str, Any]) -> None:
        harness = DirectoryHarness()
        token = harness.cluster.token(owner_id=USER)
        assert not harness.refused(token)
        revision = harness.directory.rights_revision
        harness.couch.update(ACCOUNTS, CUSTOMER, **change)
        assert harness.directory.rights_revision != revision
        assert harness.refused(token)
        assert not result_of(harness.directory.can_act_for(Principal(CUSTOMER), CHILD))
        harness.stop()

    def test_an_account_that_is_enabled_again_has_its_tokens_again(self) -> None:
        harness = DirectoryHarness()
        token = harness.cluster.token()
        harness.couch.update(ACCOUNTS, CUSTOMER, pvt_enabled=False)
        assert harness.refused(token)
        harness.couch.update(ACCOUNTS, CUSTOMER, pvt_enabled=True)
        assert not harness.refused(token)
        harness.stop()

    def test_another_system_secret_ends_every_token(self) -> None:
        harness = DirectoryHarness()
        token = harness.cluster.token()
        assert not harness.refused(token)
        auth = {"secret_for_user_signature": "new", "system_key": KEY_ID}
        harness.couch.update(SYSTEM_CONFIG, "auth", default=auth)
        harness.announce(SYSTEM_CONFIG, "auth")
        assert harness.refused(token)
        harness.stop()

    def test_another_key_ends_every_token_of_its_kid(self) -> None:
        harness = DirectoryHarness()
        token = harness.cluster.token()
        assert not harness.refused(token)
        harness.cluster.save_key(name="other")
        harness.announce(SYSTEM_AUTH, KEY_ID)
        assert harness.refused(token)
        assert not harness.refused(harness.cluster.token(key="other"))
        harness.stop()

    def test_rights_of_a_superadmin_end(self) -> None:
        harness = DirectoryHarness()
        token = harness.cluster.token(MASTER)
        assert not harness.refused(token)
        harness.couch.update(ACCOUNTS, MASTER, pvt_superduper_admin=False)
        assert not harness.directory.is_superadmin(MASTER)
        principal = harness.principal(token)
        assert principal is not None
        assert not principal.superadmin
        harness.stop()


class TestAccounts:
    def test_accounts_their_ancestors_and_descendants(self) -> None:
        harness = DirectoryHarness()
        directory = harness.directory
        account = result_of(directory.account(CHILD))
        assert account == Account(
            CHILD,
            "Solberg Service",
            "eeeeee.sip.example.com",
            (CUSTOMER, RESELLER, MASTER),
            reseller=RESELLER,
        )
        assert account is not None
        assert account.reseller_id == RESELLER
        assert result_of(directory.account("9" * 32)) is None
        assert result_of(directory.account("no id")) is None
        assert directory.ancestors(CHILD) == (CUSTOMER, RESELLER, MASTER)
        assert directory.ancestors("9" * 32) is None
        assert result_of(directory.descendants(CUSTOMER)) == {CHILD}
        assert directory.is_superadmin(MASTER)
        assert not directory.is_superadmin(CUSTOMER)
        harness.stop()

    @pytest.mark.parametrize(
        ("actor", "account_id", "allowed"),
        [
            (CUSTOMER, CUSTOMER, True),
            (CUSTOMER, CHILD, True),
            (RESELLER, CHILD, True),
            (MASTER, CHILD, True),
            (MASTER, "9" * 32, True),
            (CHILD, CUSTOMER, False),
            (SIBLING, CUSTOMER, False),
            (CUSTOMER, MASTER, False),
            (CUSTOMER, "9" * 32, False),
            ("9" * 32, CUSTOMER, False),
            ("9" * 32, "9" * 32, False),
        ],
    )
    def test_who_may_act_for_whom(self, actor: str, account_id: str, allowed: bool) -> None:
        harness = DirectoryHarness()
        # What the principal says of itself does not count.
        principal = Principal(actor, superadmin=True)
        assert result_of(harness.directory.can_act_for(principal, account_id)) == allowed
        harness.stop()

    def test_an_account_that_no_change_has_brought_yet_is_read(self) -> None:
        harness = DirectoryHarness()
        new = "8" * 32
        harness.couch.databases[ACCOUNTS][new] = account_document(new)
        harness.couch.save(account_database(new), account_document(new))
        assert not harness.refused(harness.cluster.token(new))
        account = result_of(harness.directory.account(new))
        assert account is not None
        assert account.ancestors == (RESELLER, MASTER)
        harness.stop()


def test_the_owner_of_a_number_is_read_when_it_is_asked_for() -> None:
    harness = DirectoryHarness()
    digits = NUMBER.removeprefix("+")
    assert harness.directory.account_for_number(digits) is None
    looking = harness.directory.look_up_number(digits)
    assert looking is not None
    result_of(looking)
    assert harness.directory.account_for_number(digits) == CUSTOMER
    harness.announce("numbers/+1415", NUMBER)
    assert harness.directory.account_for_number(digits) is None
    harness.stop()


def test_a_token_is_in_doubt_while_something_of_it_has_changed() -> None:
    harness = DirectoryHarness()
    token, other = harness.cluster.token(owner_id=USER), harness.cluster.token()
    doubts = ITokenDoubts(harness.directory)
    assert not doubts.is_in_doubt(token)
    assert not harness.refused(token)
    assert not harness.refused(other)
    assert not doubts.is_in_doubt(token)
    harness.announce(CUSTOMER_DB, USER)
    assert (doubts.is_in_doubt(token), doubts.is_in_doubt(other)) == (True, False)
    assert not harness.refused(token)
    assert not doubts.is_in_doubt(token)
    for database, document_id in ((SYSTEM_AUTH, KEY_ID), (SYSTEM_CONFIG, "auth")):
        harness.announce(database, document_id)
        assert doubts.is_in_doubt(token)
        assert not harness.refused(token)
    assert not any(map(doubts.is_in_doubt, ["", "x", "x" * 5000, "ø"]))
    harness.stop()


def test_closing_it_gives_up_requests_without_the_service_running() -> None:
    harness = DirectoryHarness(started=False)
    result_of(harness.directory.load())
    harness.couch.frozen = True
    asking = harness.directory.authenticate(harness.cluster.token())
    result_of(harness.directory.close())
    assert "closed" in error_of(asking)
    assert harness.clock.getDelayedCalls() == []


def test_a_token_can_be_ended() -> None:
    harness = DirectoryHarness()
    token, other = harness.cluster.token(), harness.cluster.token(owner_id=USER)
    padded = f"{token}=="  # the same bytes, signed as well
    assert not harness.refused(padded)
    revision = harness.directory.rights_revision
    assert result_of(harness.directory.log_out(token))
    assert harness.directory.rights_revision != revision
    assert harness.refused(token)
    assert harness.refused(padded)
    assert not harness.refused(other)
    assert not result_of(harness.directory.log_out(token))
    assert not result_of(harness.directory.log_out("no token"))
    harness.stop()


def test_restrictions_of_a_token_are_its_principal_s() -> None:
    harness = DirectoryHarness()
    restrictions = {"get": ["accounts/{AUTH_ACCOUNT_ID}/webhooks/#"]}
    principal = harness.principal(harness.cluster.token(restrictions=restrictions))
    assert principal is not None
    assert principal.restrictions == TokenRestrictions.parse(restrictions)
    harness.stop()


class TestCouchdbAway:
    def test_what_is_known_serves_on_and_nothing_else(self) -> None:
        harness = DirectoryHarness()
        token = harness.cluster.token(owner_id=USER)
        assert not harness.refused(token)
        harness.go_away()
        harness.advance(60)
        assert not harness.refused(token)
        assert result_of(harness.directory.can_act_for(Principal(CUSTOMER), CHILD))
        assert harness.directory.ancestors(CHILD) == (CUSTOMER, RESELLER, MASTER)
        assert "refused" in error_of(harness.directory.authenticate(harness.cluster.token()))
        assert "refused" in error_of(harness.directory.account("9" * 32))
        assert "what is known serves on" in str(harness.directory.problem())

    def test_it_serves_on_for_a_bounded_time(self) -> None:
        harness = DirectoryHarness()
        token = harness.cluster.token()
        assert not harness.refused(token)
        harness.go_away()
        harness.advance(599)
        assert not harness.refused(token)
        harness.advance(2)
        error_of(harness.directory.authenticate(token))
        error_of(harness.directory.can_act_for(Principal(CUSTOMER), CHILD))
        harness.couch.away = False
        harness.advance(20)
        assert harness.directory.problem() is None
        assert not harness.refused(token)
        harness.stop()

    def test_a_token_that_has_expired_does_not_serve_on(self) -> None:
        harness = DirectoryHarness()
        token = harness.cluster.token(exp=int(NOW) + 30)
        assert not harness.refused(token)
        harness.go_away()
        harness.advance(30)
        assert harness.refused(token)

    def test_what_is_called_changed_does_not_serve_on(self) -> None:
        harness = DirectoryHarness()
        token = harness.cluster.token(owner_id=USER)
        assert not harness.refused(token)
        harness.go_away()
        harness.announce(CUSTOMER_DB, USER)
        error_of(harness.directory.authenticate(token))

    def test_before_the_first_load_nothing_is_allowed(self) -> None:
        harness = DirectoryHarness(started=False)
        harness.couch.away = True
        harness.start()
        assert "refused" in str(harness.directory.problem())
        error_of(harness.directory.authenticate(harness.cluster.token()))
        error_of(harness.directory.login(CUSTOMER * 2))
        error_of(harness.directory.account(CUSTOMER))
        error_of(harness.directory.can_act_for(Principal(CUSTOMER), CUSTOMER))
        harness.couch.away = False
        harness.advance(60)
        assert harness.directory.problem() is None
        assert not harness.refused(harness.cluster.token())
        harness.stop()
