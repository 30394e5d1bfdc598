"""KAZOO's published Python SDK against a running service."""

from __future__ import annotations

from collections.abc import Iterator

import kazoo
import pytest
from kazoo.exceptions import KazooApiAuthenticationError, KazooApiBadDataError, KazooApiError

from tests.integration.node_process import NodeProcess

RESELLER, CUSTOMER, STRANGER = "0" * 32, "1" * 32, "2" * 32
HOOK = {"name": "calls", "uri": "http://127.0.0.1:9/calls", "hook": "channel_create", "http_verb": "post"}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    service = NodeProcess(tmp_path_factory.mktemp("service"), "embedded:")
    service.command(
        "account", "create", "--id", RESELLER, "--name", "Reseller", "--realm", "reseller.example"
    )
    service.command("account", "create", "--id", CUSTOMER, "--name", "Customer", "--parent", RESELLER)
    service.command("account", "create", "--id", STRANGER)
    service.start()
    yield service
    service.stop()


def make_client(service: NodeProcess, account_id: str) -> kazoo.Client:
    return kazoo.Client(
        api_key=service.command("api-key", "create", "--account", account_id),
        base_url=f"http://127.0.0.1:{service.port}/v2",
    )


def test_hooks_are_created_updated_and_deleted(service: NodeProcess) -> None:
    sdk = make_client(service, RESELLER)
    assert sdk.authenticate() == sdk.auth_data["auth_token"]
    assert sdk.auth_data["data"]["account_id"] == RESELLER
    created = sdk.create_webhook(CUSTOMER, HOOK)
    hook_id = created["data"]["id"]
    assert created["data"].items() >= HOOK.items()
    assert [hook["id"] for hook in sdk.get_webhooks(CUSTOMER)["data"]] == [hook_id]
    read = sdk.get_webhook(CUSTOMER, hook_id)
    assert (read["data"], read["revision"]) == (created["data"], created["revision"])
    updated = sdk.update_webhook(CUSTOMER, hook_id, {**HOOK, "name": "other"})
    assert updated["data"]["name"] == "other"
    assert updated["revision"] != created["revision"]
    assert sdk.delete_webhook(CUSTOMER, hook_id)["data"]["name"] == "other"
    assert sdk.get_webhooks(CUSTOMER)["data"] == []


def test_accounts_are_read(service: NodeProcess) -> None:
    sdk = make_client(service, RESELLER)
    sdk.authenticate()
    assert sdk.get_account(RESELLER)["data"] == {
        "id": RESELLER,
        "name": "Reseller",
        "realm": "reseller.example",
        "enabled": True,
        "is_reseller": False,
        "superduper_admin": False,
    }
    assert [one["id"] for one in sdk.get_account_children(RESELLER)["data"]] == [CUSTOMER]
    assert sdk.get_account_descendants(RESELLER)["data"][0]["tree"] == [RESELLER]


def test_errors_raise_the_exceptions_of_the_sdk(service: NodeProcess) -> None:
    with pytest.raises(KazooApiAuthenticationError):
        kazoo.Client(api_key="0" * 64, base_url=f"http://127.0.0.1:{service.port}/v2").authenticate()
    sdk = make_client(service, CUSTOMER)
    sdk.authenticate()
    with pytest.raises(KazooApiBadDataError) as wrong:
        sdk.create_webhook(CUSTOMER, {**HOOK, "retries": 9})
    assert "retries" in wrong.value.field_errors
    for forbidden in (RESELLER, STRANGER):
        with pytest.raises(KazooApiError, match="forbidden"):
            sdk.get_webhooks(forbidden)
    with pytest.raises(KazooApiError, match="bad_identifier"):
        sdk.get_webhook(CUSTOMER, "0" * 32)


def test_the_sdk_replaces_a_revoked_token(service: NodeProcess) -> None:
    sdk = make_client(service, CUSTOMER)
    old = sdk.authenticate()
    service.command("token", "revoke", old)
    service.stop()
    service.start()
    assert sdk.get_webhooks(CUSTOMER)["data"] == []
    assert sdk.auth_token != old
