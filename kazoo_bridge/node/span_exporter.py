"""Exports spans by OTLP over HTTP, in a thread that neither the reactor nor a delivery waits for.

Needs the extra ``otel``; so this module is imported only by a node that exports spans.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from threading import Thread
from typing import Any, TypeVar

from attrs import define, field
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import Decision, TraceIdRatioBased
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    Tracer,
    set_span_in_context,
)
from prometheus_client import CollectorRegistry
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from kazoo_bridge import __version__
from kazoo_bridge.config import Opentelemetry
from kazoo_bridge.log_throttle import LogThrottle
from kazoo_bridge.metrics import register_labelled_counter
from kazoo_bridge.spans import Span

T = TypeVar("T")

_log = Logger()

#: Spans that wait for export; of more, the latest are dropped. A span takes some 2 KB.
MAX_WAITING = 8192

#: Spans in one request to the collector, and the milliseconds between two requests of fewer.
BATCH_SIZE, EXPORT_INTERVAL_MS = 512, 1000

#: Seconds that one export may take, attempts included.
EXPORT_TIMEOUT = 10.0

_KINDS = {"consumer": SpanKind.CONSUMER, "client": SpanKind.CLIENT, "producer": SpanKind.PRODUCER}

_SAMPLED = TraceFlags(TraceFlags.SAMPLED)


class _GivenIds(IdGenerator):
    """Returns the ids of the span that is being recorded."""

    trace_id = 1
    span_id = 1

    def generate_trace_id(self) -> int:
        return self.trace_id

    def generate_span_id(self) -> int:
        return self.span_id


class _CountingExporter(SpanExporter):
    """Counts what the collector has taken and what not. Runs in the thread of the export."""

    def __init__(self, exporter: SpanExporter, on_failed: Any) -> None:
        self._exporter = exporter
        self._on_failed = on_failed
        self.exported = 0
        self.failed = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = SpanExportResult.FAILURE
        try:
            result = self._exporter.export(spans)
        finally:
            if result is SpanExportResult.SUCCESS:
                self.exported += len(spans)
            else:
                self.failed += len(spans)
                self._on_failed()
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()


class _LatestMessage(logging.Handler):
    """Keeps the latest message of OpenTelemetry's own log, which says why an export has failed."""

    text = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.text = record.getMessage()


@define(eq=False)
class OtlpSpanRecorder:
    """The `SpanRecorder` of a node. `node` is its name; call `start`, and `stop` at the end.

    Before `start` and after `stop`, spans are dropped.
    """

    _reactor: Any
    _settings: Opentelemetry
    _node: str
    dropped: int = field(init=False, default=0)
    _recorded: int = field(init=False, default=0)
    _sampler: TraceIdRatioBased = field(init=False)
    _ids: _GivenIds = field(init=False, factory=_GivenIds)
    _exporter: _CountingExporter | None = field(init=False, default=None)
    _provider: TracerProvider | None = field(init=False, default=None)
    _tracer: Tracer | None = field(init=False, default=None)
    _messages: _LatestMessage = field(init=False, factory=_LatestMessage)
    _failures: LogThrottle = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._sampler = TraceIdRatioBased(self._settings.sample_ratio)
        self._failures = LogThrottle(self._reactor, self._log_failures)

    def start(self) -> None:
        """Begin to export. Not in the constructor: a thread would not survive that twistd forks."""
        # What it would print to stderr, from another thread, is logged here instead.
        log = logging.getLogger("opentelemetry")
        log.propagate = False
        log.addHandler(self._messages)
        self._exporter = _CountingExporter(
            OTLPSpanExporter(endpoint=self._settings.endpoint, timeout=EXPORT_TIMEOUT),
            lambda: self._reactor.callFromThread(self._failures.count, self._messages.text),
        )
        self._provider = TracerProvider(
            sampler=self._sampler,
            resource=Resource.create(
                {
                    "service.name": "kazoo_bridge",
                    "service.version": __version__,
                    "service.instance.id": self._node,
                }
            ),
            id_generator=self._ids,
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(
            BatchSpanProcessor(self._exporter, MAX_WAITING, EXPORT_INTERVAL_MS, BATCH_SIZE)
        )
        self._tracer = self._provider.get_tracer("kazoo_bridge", __version__)

    async def stop(self) -> None:
        """Export what waits, then end. A caller may give up: the thread does not keep the process."""
        self._tracer = None
        provider, self._provider = self._provider, None
        if provider is None:
            return
        stopped: Deferred[None] = Deferred()

        def shut_down() -> None:
            try:
                provider.shutdown()
            finally:
                self._reactor.callFromThread(stopped.callback, None)

        Thread(target=shut_down, name="spans", daemon=True).start()
        await stopped
        self._failures.stop()
        logging.getLogger("opentelemetry").removeHandler(self._messages)

    def is_sampled(self, trace_id: int) -> bool:
        """See `SpanRecorder`."""
        return self._sampler.should_sample(None, trace_id, "").decision is Decision.RECORD_AND_SAMPLE

    @property
    def waiting(self) -> int:
        """How many spans wait for export, or are being exported."""
        exporter = self._exporter
        return 0 if exporter is None else self._recorded - exporter.exported - exporter.failed

    def record(self, span: Span) -> None:
        """See `SpanRecorder`."""
        if self._tracer is None or self.waiting >= MAX_WAITING:
            self.dropped += 1
            return
        context = Context()
        if span.parent_id:
            parent = SpanContext(span.trace_id, span.parent_id, is_remote=False, trace_flags=_SAMPLED)
            context = set_span_in_context(NonRecordingSpan(parent), context)
        self._ids.trace_id, self._ids.span_id = span.trace_id, span.span_id
        made = self._tracer.start_span(
            _encodable(span.name),
            context,
            _KINDS[span.kind],
            {name: _encodable(value) for name, value in span.attributes.items()},
            start_time=_nanoseconds(span.began),
        )
        if span.failure:
            made.set_attribute("error.type", span.failure)
            made.set_status(Status(StatusCode.ERROR, span.failure))
        self._recorded += 1
        # After a change of the clock it may have ended before it began.
        made.end(_nanoseconds(max(span.began, span.ended)))

    def register_metrics(self, registry: CollectorRegistry) -> None:
        """Export the number of spans in `registry`."""
        register_labelled_counter(
            registry,
            "spans",
            "Spans of events, delivery attempts and commands",
            "result",
            lambda: {
                "exported": self._exporter.exported if self._exporter else 0,
                "failed": self._exporter.failed if self._exporter else 0,
                "dropped": self.dropped,
            },
        )

    def _log_failures(self, count: int, latest: str) -> None:
        _log.warn(
            "spans cannot be exported endpoint={endpoint} exports={count} reason={reason}",
            endpoint=self._settings.endpoint,
            count=count,
            reason=latest,
        )


def _encodable(value: T) -> T | str:
    """Return a value without lone surrogates: with them, a batch as a whole could not be encoded."""
    if isinstance(value, str) and not value.isascii():
        return value.encode("utf-8", "replace").decode()
    return value


def _nanoseconds(seconds: float) -> int:
    return round(seconds * 1_000_000) * 1000  # a float of this size has no nanoseconds
