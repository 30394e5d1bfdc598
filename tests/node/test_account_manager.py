from __future__ import annotations

from pathlib import Path

import pytest
import pytest_twisted
from twisted.logger import capturedLogs
from zope.interface.verify import verifyObject

from kazoo_bridge.config import Config, Storage
from kazoo_bridge.interfaces import (
    AccountFields,
    AccountHasDescendants,
    AccountNotLocal,
    AccountRefused,
    IAccountManager,
)
from kazoo_bridge.node.account_manager import AccountManager, follow_deletion
from kazoo_bridge.storage.pivots import PivotStore
from tests.rest.harness import ACCOUNT, CHILD, LOOPBACK, running_node
from tests.storage.sqlite_template import make_migrated_database


def make_config(folder: Path) -> Config:
    return Config(storage=Storage(make_migrated_database(folder / "b.sqlite3")), http=LOOPBACK)


@pytest_twisted.ensureDeferred
async def test_the_directory_knows_at_once(tmp_path: Path) -> None:
    async with running_node(make_config(tmp_path)) as rest:
        node = rest.node
        manager = AccountManager(node.accounts, node.tokens, node.directory)
        verifyObject(IAccountManager, manager)
        account_id = await manager.create(CHILD, AccountFields("New", "new.example"))
        assert node.directory.ancestors(account_id) == (CHILD, ACCOUNT)
        revision = node.directory.rights_revision
        await manager.update(account_id, AccountFields(realm="newer.example"))
        account = await node.directory.account(account_id)
        assert account is not None
        assert (account.name, account.realm) == ("New", "newer.example")
        with pytest.raises(AccountHasDescendants):
            await manager.delete(CHILD)
        await manager.delete(account_id)
        assert await node.directory.account(account_id) is None
        assert node.directory.rights_revision > revision


@pytest_twisted.ensureDeferred
async def test_what_the_storage_refuses(tmp_path: Path) -> None:
    async with running_node(make_config(tmp_path)) as rest:
        manager = AccountManager(rest.node.accounts, rest.node.tokens, rest.node.directory)
        await manager.update(CHILD, AccountFields(realm="child.example"))
        for given in (AccountFields("x", "child.example"), AccountFields("x" * 200)):
            with pytest.raises(AccountRefused):
                await manager.create(ACCOUNT, given)
        unknown = "9" * 32
        for failing in (
            manager.create(unknown, AccountFields("x")),
            manager.update(unknown, AccountFields("x")),
            manager.delete(unknown),
            manager.has_api_key(unknown),
            manager.renew_api_key(unknown),
            manager.tokens(unknown),
            manager.revoke_token(unknown, "0" * 64),
        ):
            with pytest.raises(AccountNotLocal):
                await failing


@pytest_twisted.ensureDeferred
async def test_only_accounts_of_this_storage_are_said_to_stay_when_kazoo_deletes_them(tmp_path: Path) -> None:
    async with running_node(make_config(tmp_path)) as rest:
        pivots = PivotStore(rest.node.reactor, rest.node.database)
        with capturedLogs() as logs:
            for account_id in ("9" * 32, CHILD, ACCOUNT):
                await follow_deletion(rest.node.accounts, pivots, account_id)
            assert not [log for log in logs if "stays here" in log["log_format"]]
            assert await rest.node.accounts.by_ids([ACCOUNT, CHILD]) == []
            await rest.node.accounts.create(ACCOUNT)
            await rest.node.accounts.create(CHILD, parent_id=ACCOUNT)
            await follow_deletion(rest.node.accounts, pivots, ACCOUNT)
        assert [log["account_id"] for log in logs if "stays here" in log["log_format"]] == [ACCOUNT]
