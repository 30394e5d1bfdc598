from __future__ import annotations

import resource
from pathlib import Path

import pytest
from attrs import evolve
from twisted.logger import capturedLogs

from kazoo_bridge.config import Config, ConfigError, Http, Webhooks, Websockets
from kazoo_bridge.node.descriptors import (
    DESCRIPTORS_PER_REQUEST,
    MACOS_LIMIT,
    MIN_CONNECTIONS,
    RESERVED_DESCRIPTORS,
    fit,
    raise_limit,
)

UNIT = Path(__file__).parents[2] / "etc" / "kazoo-bridge.service"


def needed(config: Config) -> int:
    return (
        config.websockets.max_connections
        + config.websockets.max_unauthenticated
        + config.http.max_connections
        + DESCRIPTORS_PER_REQUEST * config.webhooks.max_requests
        + RESERVED_DESCRIPTORS
    )


def test_the_limit_of_the_unit_is_enough_for_the_defaults() -> None:
    (line,) = [line for line in UNIT.read_text().splitlines() if line.startswith("LimitNOFILE=")]
    with capturedLogs() as logged:
        assert fit(Config(), int(line.partition("=")[2])) == Config()
    assert not logged


def test_without_a_limit_the_configuration_stays() -> None:
    config = evolve(Config(), websockets=Websockets(max_connections=10**9))
    assert fit(config, None) == config


@pytest.mark.parametrize("limit", [1024, 4096, 8192])
def test_defaults_fit_into_an_ordinary_limit_and_a_warning_names_them(limit: int) -> None:
    with capturedLogs() as logged:
        config = fit(Config(), limit)
    assert limit - 2 <= needed(config) <= limit
    assert config.webhooks == Webhooks()
    named = {event["key"] for event in logged}
    assert "websockets.max_connections" in named
    assert all(event["limit"] == limit for event in logged)


def test_small_limits_keep_their_defaults_as_long_as_possible() -> None:
    config = fit(Config(), 4096)
    assert config.http.max_connections == Http().max_connections
    assert config.websockets.max_connections == config.websockets.max_unauthenticated == 1414


def test_zero_becomes_what_is_left() -> None:
    config = evolve(Config(), websockets=Websockets(max_connections=0, max_unauthenticated=0))
    fitted = fit(config, 20_000)
    assert needed(fitted) == 20_000
    assert fitted.http == Http()


def test_other_values_than_the_defaults_are_refused_when_they_exceed_the_limit() -> None:
    config = evolve(Config(), websockets=Websockets(max_connections=3000), http=Http(max_connections=700))
    with pytest.raises(ConfigError) as refused:
        fit(config, 4096)
    (error,) = refused.value.errors
    for text in (
        "websockets.max_connections = 3000",
        "http.max_connections = 700",
        "webhooks.max_requests = 256",
        "may open 4096",
        f"at least {MIN_CONNECTIONS} for websockets.max_unauthenticated",
        f"together {3000 + 700 + MIN_CONNECTIONS + 2 * 256 + RESERVED_DESCRIPTORS}",
    ):
        assert text in error
    assert fit(config, 5000).websockets.max_connections == 3000


def test_other_values_are_not_lowered() -> None:
    config = evolve(Config(), websockets=Websockets(max_connections=2000))
    fitted = fit(config, 4096)
    assert fitted.websockets.max_connections == 2000
    assert fitted.http.max_connections == 500
    assert fitted.websockets.max_unauthenticated == 4096 - 2000 - 500 - 2 * 256 - RESERVED_DESCRIPTORS


def test_the_soft_limit_is_raised_to_the_hard_one(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = [(1024, 4096)]
    monkeypatch.setattr(resource, "getrlimit", lambda _which: limits[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda _which, wanted: limits.append(wanted))
    assert raise_limit() == 4096
    assert limits == [(1024, 4096), (4096, 4096)]
    assert raise_limit() == 4096
    assert len(limits) == 2


@pytest.mark.parametrize(("permitted", "limit"), [(MACOS_LIMIT, MACOS_LIMIT), (256, 256)])
def test_a_hard_limit_that_is_not_permitted(
    permitted: int, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def set_limit(_which: int, wanted: tuple[int, int]) -> None:
        if wanted[0] == resource.RLIM_INFINITY or wanted[0] > permitted:
            raise ValueError("not allowed to raise maximum limit")

    monkeypatch.setattr(resource, "getrlimit", lambda _which: (256, resource.RLIM_INFINITY))
    monkeypatch.setattr(resource, "setrlimit", set_limit)
    assert raise_limit() == limit


def test_no_limit_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    infinite = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    monkeypatch.setattr(resource, "getrlimit", lambda _which: infinite)
    assert raise_limit() is None
