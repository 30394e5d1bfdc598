"""The file of keys, which changes while the node runs."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from twisted.internet.task import Clock

from kazoo_bridge.directory.jwt_keys import CHECK_INTERVAL, KeyFile
from tests.config.rsa_keys import FIRST, SECOND, to_jwk, to_pem


class Harness:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = Clock()
        self.changes = 0
        self.file = KeyFile(self.clock, str(path), self.on_change)
        self.file.startService()

    def on_change(self) -> None:
        self.changes += 1

    def write(self, content: str) -> None:
        """Replace the file as careful programs do, and wait until it is noticed."""
        new = self.path.with_suffix(".new")
        new.write_text(content)
        os.replace(new, self.path)
        self.clock.advance(CHECK_INTERVAL)


@pytest.fixture
def harness(tmp_path: Path) -> Harness:
    path = tmp_path / "keys"
    path.write_text(json.dumps({"keys": [to_jwk(FIRST, "first"), to_jwk(SECOND, "second")]}))
    return Harness(path)


def test_keys_are_found_by_their_id(harness: Harness) -> None:
    assert harness.file.find("first") == FIRST.public_key()
    assert harness.file.find("second") == SECOND.public_key()
    for unknown in ("third", "", None, 5, ["first"]):
        assert harness.file.find(unknown) is None


def test_the_key_of_a_pem_file_is_for_every_id(harness: Harness) -> None:
    harness.write(to_pem(SECOND))
    assert harness.file.find(None) == harness.file.find("first") == SECOND.public_key()


def test_a_changed_file_is_read_again(harness: Harness) -> None:
    harness.clock.advance(CHECK_INTERVAL)
    assert harness.changes == 0
    harness.write(json.dumps({"keys": [to_jwk(SECOND, "first")]}))
    assert harness.file.find("first") == SECOND.public_key()
    assert harness.file.find("second") is None
    assert harness.changes == 1


def test_a_file_with_the_same_keys_changes_nothing(harness: Harness) -> None:
    harness.write(harness.path.read_text() + "\n")
    assert harness.changes == 0


def test_a_file_that_cannot_be_used_leaves_the_keys(harness: Harness) -> None:
    good = harness.path.read_text()
    harness.write("nonsense")
    assert harness.file.find("first") == FIRST.public_key()
    assert str(harness.file.problem).startswith("jwt.keys: expected a PEM file or a JSON Web Key Set")
    harness.path.unlink()
    harness.clock.advance(CHECK_INTERVAL)
    assert "cannot be read" in str(harness.file.problem)
    harness.write(good)
    assert harness.file.problem is None
    assert harness.changes == 0


def test_it_stops_cleanly(harness: Harness) -> None:
    stopping = harness.file.stopService()
    assert stopping.called
    assert harness.clock.getDelayedCalls() == []
