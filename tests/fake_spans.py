"""A recorder of spans in memory."""

from __future__ import annotations

from attrs import define, field

from kazoo_bridge.spans import Span


@define
class FakeSpanRecorder:
    """Keeps spans; `sampled` is what it says of each trace."""

    sampled: bool = True
    spans: list[Span] = field(factory=list)

    def is_sampled(self, trace_id: int) -> bool:
        return self.sampled

    def record(self, span: Span) -> None:
        assert self.sampled
        self.spans.append(span)
