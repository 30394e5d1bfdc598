"""Sends a sample event to a hook, so that its owner can see whether it arrives."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

from attrs import define, field
from twisted.internet.interfaces import IReactorTime

from kazoo_bridge.interfaces import NoSample, Occurrence, StoredHook, TooManySamples
from kazoo_bridge.kazoo import to_gregorian
from kazoo_bridge.webhooks.attempts.attempt import RequestBuilder
from kazoo_bridge.webhooks.attempts.attempt_document import AttemptInfo
from kazoo_bridge.webhooks.attempts.attempt_recorder import AttemptRecorder
from kazoo_bridge.webhooks.attempts.sample_limits import SampleLimits
from kazoo_bridge.webhooks.delivery.dispatcher import make_delivery
from kazoo_bridge.webhooks.hooks.hook import Hook
from kazoo_bridge.webhooks.hooks.hook_catalogue import ANY_EVENT, EVERYTHING, HookCatalogue
from kazoo_bridge.webhooks.http.faults import Fault
from kazoo_bridge.webhooks.http.http_request import HookRequest
from kazoo_bridge.webhooks.http.payload_encoding import PayloadTooLarge
from kazoo_bridge.webhooks.http.sender import Outcome, Sender

#: The event whose sample a hook for several events receives.
_SAMPLE_FOR_ANY = "channel_create"

#: Samples of one account that are sent at the same time.
_MAX_IN_FLIGHT = 5

#: Seconds after which a client may try again while these are being sent.
_RETRY_AFTER = 10


@define
class SampleSender:
    """Sends a sample as a delivery is sent; the attempt is recorded, but does not count against the hook."""

    _clock: IReactorTime
    _catalogue: HookCatalogue
    _requests: RequestBuilder
    _sender: Sender
    _recorder: AttemptRecorder
    _limits: SampleLimits
    _in_flight: Counter[str] = field(init=False, factory=Counter)

    async def send(self, stored: StoredHook) -> dict[str, Any]:
        """Send a sample to the hook, enabled or not, and return the attempt as ``GET …/attempts`` shows it.

        Raises `NoSample` or `TooManySamples`; nothing for what a receiver does.
        """
        account_id = stored.account_id
        if self._in_flight[account_id] >= _MAX_IN_FLIGHT:
            raise TooManySamples(_RETRY_AFTER)
        self._limits.take(account_id, stored.id)
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
        try:
            request = self._requests.build(
                hook, make_delivery(hook, occurrence, event_id, self._clock.seconds())
            )
        except PayloadTooLarge as error:
            request = HookRequest(hook.verb.upper(), hook.uri, {}, b"")
            outcome = Outcome(False, error=str(error), fault=Fault.DEFECT)
            seconds = None
        else:
            began = self._clock.seconds()
            outcome = await self._sender.send(request)
            seconds = self._clock.seconds() - began
        info = AttemptInfo(event_id, 0, 0, test=True, seconds=seconds)
        self._recorder.record(hook, request, outcome, info)
        made_at = to_gregorian(self._clock.seconds())
        return {**self._recorder.document(hook, request, outcome, info), "timestamp": made_at}

    def _sample(self, hook: Hook) -> Mapping[str, Any]:
        """Return the first sample that the hook's selectors match; without a match, the first one."""
        event = _SAMPLE_FOR_ANY if hook.event in (ANY_EVENT, EVERYTHING) else hook.event
        hook_type = self._catalogue.types.get(event)
        samples = hook_type.samples if hook_type is not None else ()
        for sample in samples:
            if all(_matches(sample, name, values) for name, values in hook.selectors.items()):
                return sample
        if not samples:
            raise NoSample(f"the category of {hook.event} hooks has no samples")
        return samples[0]


def _matches(sample: Mapping[str, Any], name: str, values: Collection[str]) -> bool:
    """Whether `sample[name]` is among `values`; without such a key, whether any value of the sample is."""
    candidates = [sample[name]] if name in sample else sample.values()
    return any(value in values for value in candidates if isinstance(value, str))
