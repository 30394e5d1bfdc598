from __future__ import annotations

import json

from tests.cli.harness import A, B, CliHarness


def test_a_dry_run_prints_the_message(cli: CliHarness) -> None:
    message = json.loads(
        cli.run("publish", "conference", "--account", A, "--where", "event=add-member", "--dry-run").stdout
    )
    assert message["exchange"] == "conference"
    assert message["routing_key"].startswith(f"conference.event.add-member.{A}.")
    assert message["body"]["Account-ID"] == A


def test_the_only_account_is_the_default(cli: CliHarness) -> None:
    assert "has 0 accounts" in cli.error("publish", "sms", "--dry-run", exit_code=2)
    cli.create("account", "create", "--id", A)
    message = json.loads(cli.run("publish", "webhooks_sms", "--dry-run").stdout)
    assert (message["exchange"], message["body"]["Account-ID"]) == ("im", A)
    cli.create("account", "create", "--id", B)
    assert "has 2 accounts" in cli.error("publish", "sms", "--dry-run", exit_code=2)


def test_what_cannot_be_published(cli: CliHarness) -> None:
    assert "embedded" in cli.error("publish", "sms", "--account", A)
    assert "no hook type nonsense" in cli.error("publish", "nonsense", "--account", A, "--dry-run")
    error = cli.error("publish", "object", "--account", A, "--where", "type=nonsense", "--dry-run")
    assert "no sample of object has type=nonsense" in error
    assert "KEY=VALUE" in cli.error("publish", "sms", "--where", "x", "--dry-run", exit_code=2)
