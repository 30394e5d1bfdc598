from __future__ import annotations

import pytest

from kazoo_bridge.couchdb import names

ACCOUNT = "4f2c" + "0" * 28


def test_databases() -> None:
    assert names.account_database(ACCOUNT) == f"account/4f/2c/{'0' * 28}"
    assert names.monthly_database(ACCOUNT, 2026, 3) == f"account/4f/2c/{'0' * 28}-202603"
    assert names.number_database("+14155550100") == "numbers/+1415"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (names.database_path("numbers/+1415"), "/numbers%2F%2B1415"),
        (names.document_path("numbers/+1415", "+14155550100"), "/numbers%2F%2B1415/%2B14155550100"),
        (names.document_path("accounts", "a/../b?c"), "/accounts/a%2F..%2Fb%3Fc"),
        (names.document_path("accounts", "_design/accounts"), "/accounts/_design/accounts"),
        (
            names.attachment_path("system_auth", "k/1", "private_key.pem"),
            "/system_auth/k%2F1/private_key.pem",
        ),
        (
            names.view_path("webhooks", "webhooks/webhooks_listing"),
            "/webhooks/_design/webhooks/_view/webhooks_listing",
        ),
    ],
)
def test_paths_are_percent_encoded(path: str, expected: str) -> None:
    assert path == expected
