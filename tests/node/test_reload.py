from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from attrs import define, evolve, field
from twisted.logger import LogEvent, capturedLogs, formatEvent

from kazoo_bridge.config import Amqp, Config, ConfigError, Http, Log, Storage
from kazoo_bridge.node.reload import RELOADABLE, ConfigReloader, changed_keys, with_keys


@define
class Harness:
    new: Config | ConfigError = field(factory=Config)
    certificates: ConfigError | None = None
    applied: list[Config] = field(factory=list)
    certificates_used: int = 0
    reloads: int = 0
    logged: Sequence[LogEvent] = ()
    reloader: ConfigReloader = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.reloader = ConfigReloader(
            Config(), self.load, self.read_certificates, [self.applied.append], self.on_reloaded
        )

    def load(self) -> Config:
        if isinstance(self.new, ConfigError):
            raise self.new
        return self.new

    def read_certificates(self) -> Callable[[], None]:
        if self.certificates is not None:
            raise self.certificates
        return self.use_certificates

    def on_reloaded(self) -> None:
        self.reloads += 1

    def use_certificates(self) -> None:
        self.certificates_used += 1

    def reload(self, new: Config | ConfigError) -> list[str]:
        """Reload this configuration; return the levels and texts of the log lines."""
        self.new = new
        start = len(self.logged)
        self.reloader.reload()
        return [f"{event['log_level'].name}: {formatEvent(event)}" for event in self.logged[start:]]


@pytest.fixture
def harness() -> Iterator[Harness]:
    with capturedLogs() as logged:
        harness = Harness()
        harness.logged = logged
        yield harness


def test_a_new_process_may_start_while_no_key_needs_a_restart(harness: Harness) -> None:
    harness.reloader.require_no_restart()
    harness.new = Config(log=Log(level="debug"))
    harness.reloader.require_no_restart()
    harness.new = Config(log=Log(level="debug"), amqp=Amqp(prefetch=9))
    with pytest.raises(ConfigError) as error:
        harness.reloader.require_no_restart()
    assert list(error.value.errors) == ["amqp.prefetch has changed and needs a restart"]
    harness.new = ConfigError(["wrong"])
    with pytest.raises(ConfigError, match=r"^wrong$"):
        harness.reloader.require_no_restart()
    assert harness.applied == []


def test_what_can_change_is_applied_and_the_rest_is_named(harness: Harness) -> None:
    new = Config(amqp=Amqp(prefetch=9), log=Log(level="debug"), http=Http(request_burst=7, idle_timeout_s=9))
    assert harness.reload(new) == [
        "info: configuration reloaded changed=http.request_burst, log.level",
        "warn: amqp.prefetch has changed and needs a restart",
        "warn: http.idle_timeout_s has changed and needs a restart",
    ]
    (applied,) = harness.applied
    assert applied == Config(log=Log(level="debug"), http=Http(request_burst=7))
    assert (harness.certificates_used, harness.reloads) == (1, 1)


def test_keys_that_need_a_restart_are_named_again_until_it_happens(harness: Harness) -> None:
    new = Config(storage=Storage("sqlite:///other.sqlite3"), log=Log(level="debug"))
    harness.reload(new)
    assert harness.reload(new) == [
        "info: configuration reloaded changed=nothing",
        "warn: storage.uri has changed and needs a restart",
    ]
    assert harness.reload(evolve(new, storage=Storage())) == ["info: configuration reloaded changed=nothing"]


def test_no_value_is_logged(harness: Harness) -> None:
    lines = harness.reload(Config(amqp=Amqp("amqp://user:hunter2@broker")))
    assert "hunter2" not in "".join(lines)


def test_a_wrong_configuration_is_refused_and_the_current_one_stays(harness: Harness) -> None:
    assert harness.reload(ConfigError(["http.endpoint: odd", "log.level: odd"])) == [
        "error: configuration refused, the present one stays in use reason=http.endpoint: odd",
        "error: configuration refused, the present one stays in use reason=log.level: odd",
    ]
    assert (harness.applied, harness.certificates_used, harness.reloader.config) == ([], 0, Config())
    assert harness.reloads == 0


def test_a_wrong_certificate_refuses_the_whole_configuration(harness: Harness) -> None:
    harness.certificates = ConfigError(["the certificate cannot be used"])
    (line,) = harness.reload(Config(log=Log(level="debug")))
    assert line.endswith("reason=the certificate cannot be used")
    assert (harness.applied, harness.reloader.config) == ([], Config())


def test_every_reloadable_key_exists() -> None:
    for section, names in RELOADABLE.items():
        for name in names:
            assert hasattr(getattr(Config(), section), name), (section, name)


def test_changed_keys_and_their_values() -> None:
    new = Config(log=Log(level="warn", format="json"))
    assert changed_keys(Config(), new) == ["log.level", "log.format"]
    assert with_keys(Config(), new, ["log.format"]) == Config(log=Log(format="json"))


def test_the_reference_lists_every_key_that_can_be_reloaded() -> None:
    reference = (Path(__file__).parents[2] / "docs/reference/configuration.md").read_text()
    section = reference.partition("## Reload")[2].partition("## ")[0]
    for name, keys in RELOADABLE.items():
        if name != "log":
            assert set(re.findall(rf"`{name}\.(\w+)`", section)) == set(keys)
