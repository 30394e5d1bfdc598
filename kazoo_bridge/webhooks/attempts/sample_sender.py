"""Sends a sample to a hook, now, so that its owner can see whether it arrives."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

from attrs import define, field
from twisted.internet.interfaces import IReactorTime

from kazoo_bridge.interfaces import NoSample, Occurrence, StoredHook, TooManySamples
from kazoo_bridge.kazoo import to_gregorian
from kazoo_bridge.webhooks.attempts.attempt import AttemptRunner
from kazoo_bridge.webhooks.attempts.attempt_recorder import AttemptInfo, AttemptRecorder
from kazoo_bridge.webhooks.delivery.delivery_factory import make_delivery
from kazoo_bridge.webhooks.hooks.hook import Hook
from kazoo_bridge.webhooks.hooks.hook_catalogue import ANY_EVENT, HookCatalogue

#: What a hook that hears everything is sent.
_SAMPLE_FOR_ANY = "channel_create"


#: Samples of one account that are being sent at once.
_MAX_IN_FLIGHT = 5


@define
class SampleSender:
    """The sample goes the way that every delivery goes; the attempt is kept, and never counts against the hook."""

    _clock: IReactorTime
    _catalogue: HookCatalogue
    _attempt_runner: AttemptRunner
    _recorder: AttemptRecorder
    _in_flight: Counter[str] = field(init=False, factory=Counter)

    async def send(self, stored: StoredHook) -> dict[str, Any]:
        """The attempt, as it is listed. Enabled or not, the hook is tried. Raises `NoSample` or `TooManySamples`."""
        account_id = stored.account_id
        if self._in_flight[account_id] >= _MAX_IN_FLIGHT:
            raise TooManySamples
        self._in_flight[account_id] += 1
        try:
            return await self._send(stored)
        finally:
            self._in_flight -= Counter({account_id: 1})

    async def _send(self, stored: StoredHook) -> dict[str, Any]:
        hook = Hook.from_document(stored, self._catalogue)
        payload = {**self._sample(hook), "account_id": hook.account_id}
        event_id = f"test_{secrets.token_hex(16)}"
        occurrence = Occurrence(hook.event, hook.account_id, payload)
        request = self._attempt_runner.request(
            hook, make_delivery(hook, occurrence, event_id, self._clock.seconds())
        )
        outcome = await self._attempt_runner.send(request)
        tried = AttemptInfo(event_id, 0, 0, test=True)
        self._recorder.record(hook, request, outcome, tried)
        made = to_gregorian(self._clock.seconds())
        return {**self._recorder.document(hook, request, outcome, tried), "timestamp": made}

    def _sample(self, hook: Hook) -> Mapping[str, Any]:
        event = _SAMPLE_FOR_ANY if hook.event == ANY_EVENT else hook.event
        known = self._catalogue.types.get(event)
        samples = known.samples if known is not None else ()
        for sample in samples:
            if all(_matches(sample, name, values) for name, values in hook.selectors.items()):
                return sample
        if not samples:
            raise NoSample(f"the category of {hook.event} hooks has no samples")
        return samples[0]


def _matches(sample: Mapping[str, Any], name: str, values: Collection[str]) -> bool:
    """Whether a sample is of a chosen kind: under which key it says so is the category's own affair, unless it has one of that name."""
    told = [sample[name]] if name in sample else sample.values()
    return any(value in values for value in told if isinstance(value, str))
