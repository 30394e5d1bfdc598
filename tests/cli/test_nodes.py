from __future__ import annotations

from typing import Any

import click
import pytest

from kazoo_bridge.cli.context import CliContext
from kazoo_bridge.cli.nodes import rest_url, superadmin_token
from tests.cli.harness import A, CliHarness, lookup_token


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        ("tcp:8000:interface=127.0.0.1", "http://127.0.0.1:8000"),
        ("tcp:8000", "http://127.0.0.1:8000"),
        ("tcp:port=81:interface=0.0.0.0", "http://127.0.0.1:81"),
        ("tcp6:80:interface=\\:\\:", "http://[::1]:80"),
        ("tcp:80:interface=192.0.2.7:backlog=9", "http://192.0.2.7:80"),
        ("haproxy:tcp:80", "http://127.0.0.1:80"),
        ("ssl:443:privateKey=/k:certKey=/c", "https://127.0.0.1:443"),
    ],
)
def test_where_a_node_answers(endpoint: str, url: str) -> None:
    assert rest_url(endpoint) == url


@pytest.mark.parametrize("endpoint", ["unix:/run/x", "tcp:0", "systemd:domain=INET:index=0"])
def test_an_endpoint_without_an_address(endpoint: str) -> None:
    with pytest.raises(click.ClickException, match="--url"):
        rest_url(endpoint)


def test_a_token_of_a_super_admin_ends_with_the_command(cli: CliHarness) -> None:
    cli.create("account", "create", "--id", A, "--superadmin")
    with superadmin_token(CliContext(None, may_create=True)) as token:
        stored: Any = lookup_token(token, 0)
        assert stored.account_id == A
    assert lookup_token(token, 0) is None


def test_a_storage_without_super_admins(cli: CliHarness) -> None:
    cli.create("account", "create", "--id", A)
    assert "account create --superadmin" in cli.error("status")


def test_no_node_answers(cli: CliHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    # Of all commands that use the reactor, only the arguments are checked in this process.
    assert "6 to 255 characters" in cli.error("trace", "short", exit_code=2)
    assert "--binding" in cli.error("tail", exit_code=2)
    assert "expected --account" in cli.error("tail", "--binding", "x", exit_code=2)
