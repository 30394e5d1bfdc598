from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from kazoo_bridge.interfaces import HookType, NoSample, TooManySamples
from kazoo_bridge.kazoo import GREGORIAN_OFFSET
from kazoo_bridge.webhooks.attempts.attempt import ClusterId, RequestBuilder
from kazoo_bridge.webhooks.attempts.attempt_document import AttemptFormat
from kazoo_bridge.webhooks.attempts.attempt_recorder import AttemptRecorder
from kazoo_bridge.webhooks.attempts.sample_limits import SampleLimits
from kazoo_bridge.webhooks.attempts.sample_sender import SampleSender
from kazoo_bridge.webhooks.hooks.hook_catalogue import HookCatalogue
from kazoo_bridge.webhooks.http.sender import Sender
from tests.webhooks.fakes import FakeAgent, FakeAttemptStore, respond
from tests.webhooks.harness import REQUEST_TIMEOUT, results_of
from tests.webhooks.hook_factory import ACCOUNT, stored_hook

SAMPLES = (
    {"type": "user", "action": "doc_created"},
    {"type": "device", "action": "doc_created"},
    {"kind": "doc_edited", "type": "device"},
)
MODIFIERS = {
    "type": {"type": "array", "items": ["user", "device"], "default": "all"},
    "action": {"type": "array", "items": ["doc_created", "doc_edited"], "default": "all"},
}
CATALOGUE = HookCatalogue.from_types(
    [
        HookType("channel_create", "Channel Create", "", samples=({"call_id": "1"},)),
        HookType("channel_answer", "Channel Answer", ""),
        HookType("object", "Object", "", modifiers=MODIFIERS, samples=SAMPLES),
    ]
)


class Harness:
    def __init__(self) -> None:
        self.clock, self.attempts = Clock(), FakeAttemptStore()
        self.clock.advance(1000)
        self.agent = FakeAgent(self.clock, reachable=True)
        self.recorder = AttemptRecorder(self.clock, self.attempts, False, AttemptFormat(1000, 1000))
        self.samples = SampleSender(
            self.clock,
            CATALOGUE,
            RequestBuilder(self.clock, ClusterId("", Deferred), max_bytes=3000),
            Sender(self.clock, self.agent, REQUEST_TIMEOUT),
            self.recorder,
            SampleLimits(self.clock, per_minute=100),
        )

    def send(self, account_id: str = ACCOUNT, **document: Any) -> list[Any]:
        """Begin to send a sample; returns its results, as `results_of`."""
        work = self.samples.send(stored_hook("h1", account_id, **document))
        return results_of(Deferred.fromCoroutine(work))


def test_a_sample_that_is_too_large_is_an_attempt_that_says_so() -> None:
    harness = Harness()
    (document,) = harness.send(custom_data=dict.fromkeys("abc", "x" * 1000))
    assert harness.agent.times == []
    assert (document["result"], document["reason"]) == ("failure", "kazoo http client error")
    assert "webhooks.max_body_bytes (3000 bytes)" in document["client_error"]


def test_the_attempt_is_returned_and_recorded_as_a_test() -> None:
    harness = Harness()
    results = harness.send()
    assert harness.agent.bodies == [f"call_id=1&account_id={ACCOUNT}"]
    respond(harness.agent.hanging[0], 500)
    (document,) = results
    assert (document["test"], document["result"]) == (True, "failure")
    assert document["timestamp"] == 1000 + GREGORIAN_OFFSET
    assert document["event_id"].startswith("test_")
    results_of(harness.recorder.flush())
    (recorded,) = harness.attempts.stored
    assert recorded.revision == ""
    assert recorded.document == {name: value for name, value in document.items() if name != "timestamp"}


def test_a_disabled_hook_receives_a_sample() -> None:
    harness = Harness()
    harness.send(enabled=False)
    assert len(harness.agent.hanging) == 1


@pytest.mark.parametrize("hook", ["all", "everything"])
def test_a_hook_for_all_events_receives_the_sample_of_a_call(hook: str) -> None:
    harness = Harness()
    harness.send(hook=hook)
    assert harness.agent.bodies == [f"call_id=1&account_id={ACCOUNT}"]


@pytest.mark.parametrize(
    ("selectors", "sample"),
    [
        ({}, "type=user&action=doc_created"),
        ({"type": "device"}, "type=device&action=doc_created"),
        ({"type": "device", "action": "doc_edited"}, "kind=doc_edited&type=device"),
        ({"type": "user", "action": "doc_edited"}, "type=user&action=doc_created"),
    ],
)
def test_the_sample_that_the_selectors_match(selectors: dict[str, str], sample: str) -> None:
    harness = Harness()
    harness.send(hook="object", custom_data=selectors)
    assert harness.agent.bodies == [f"{sample}&account_id={ACCOUNT}"]


def test_a_category_without_samples() -> None:
    harness = Harness()
    (failure,) = harness.send(hook="channel_answer")
    assert failure.check(NoSample)
    assert harness.agent.hanging == []


def test_five_samples_of_an_account_at_the_same_time() -> None:
    harness = Harness()
    running = [harness.send() for _ in range(5)]
    (failure,) = harness.send()
    assert failure.check(TooManySamples)
    assert harness.send("b" * 32) == []
    assert len(harness.agent.hanging) == 6
    respond(harness.agent.hanging[0], 200)
    assert len(running[0]) == 1
    assert harness.send() == []


def test_samples_of_a_hook_are_limited() -> None:
    harness = Harness()
    for _ in range(25):
        harness.send()
        respond(harness.agent.hanging[-1], 200)
    (failure,) = harness.send()
    assert failure.check(TooManySamples)
    assert failure.value.retry_after == 3
    assert harness.send("b" * 32) == []
    harness.clock.advance(3)
    assert harness.send() == []
