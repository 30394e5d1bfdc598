"""Records a span for each command to a call and each new call, until the bus has confirmed its message."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from attrs import define, field
from twisted.internet.interfaces import IReactorTime

from kazoo_bridge.calls.command_schemas import COMMAND_SCHEMAS
from kazoo_bridge.calls.new_calls.request import NEW_CALL_SCHEMAS
from kazoo_bridge.calls.service import CallService
from kazoo_bridge.interfaces import NewCall
from kazoo_bridge.spans import Span, SpanRecorder

#: Characters of the id of a call, which a client chooses.
MAX_CALL_ID_LENGTH = 255


@define(eq=False)
class TracedCallService(CallService):
    """The front door to live calls, which gives `spans` a span of each command. Each begins a trace."""

    spans: SpanRecorder = field(kw_only=True)
    clock: IReactorTime = field(kw_only=True)

    @classmethod
    def from_service(
        cls, service: CallService, spans: SpanRecorder, clock: IReactorTime
    ) -> TracedCallService:
        """Make it of the parts of `service`, which is not used any more."""
        return cls(
            service._bus,
            service._queries,
            service._live_calls,
            service._new_calls,
            service._check_url,
            spans=spans,
            clock=clock,
        )

    async def command(self, account_id: str, call_id: str, command: str, data: Mapping[str, Any]) -> str:
        """See `ICalls.command`."""
        name = command if command in COMMAND_SCHEMAS else "unknown"
        with self._span(f"command {name}", account_id, call_id):
            return await super().command(account_id, call_id, command, data)

    async def flow(self, account_id: str, call_id: str, flow: Mapping[str, Any]) -> str:
        """See `ICalls.flow`."""
        with self._span("command flow", account_id, call_id):
            return await super().flow(account_id, call_id, flow)

    async def place(
        self,
        account_id: str,
        command: str,
        data: Mapping[str, Any],
        on_outcome: Callable[[NewCall], None] | None = None,
    ) -> NewCall:
        """See `ICalls.place`."""
        name = command if command in NEW_CALL_SCHEMAS else "unknown"
        with self._span(f"command {name}", account_id):
            return await super().place(account_id, command, data, on_outcome)

    @contextmanager
    def _span(self, name: str, account_id: str, call_id: str = "") -> Iterator[None]:
        trace_id = secrets.randbits(128) or 1
        if not self.spans.is_sampled(trace_id):
            yield
            return
        began, failure = self.clock.seconds(), ""
        try:
            yield
        except BaseException as error:
            failure = type(error).__name__
            raise
        finally:
            attributes: dict[str, str | int | bool] = {"kazoo_bridge.account_id": account_id}
            if call_id:
                attributes["messaging.message.conversation_id"] = call_id[:MAX_CALL_ID_LENGTH]
            ended = self.clock.seconds()
            span_id = secrets.randbits(64) or 1
            self.spans.record(Span(trace_id, span_id, 0, name, "producer", began, ended, attributes, failure))
