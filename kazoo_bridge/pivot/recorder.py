"""Records what was asked of pivot points and how it ended: collected in memory, written in batches."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Mapping
from typing import Any

import orjson
from attrs import define, field

from kazoo_bridge.batch_writer import BatchWriter
from kazoo_bridge.interfaces import IPivotStore, PivotAnswer, PivotRecord, StorageUnavailable
from kazoo_bridge.kazoo import normalize, to_gregorian
from kazoo_bridge.pivot.question import PivotOutcome, Question

#: Records of one pivot point, and of all, that wait for the storage; the oldest are lost.
MAX_WAITING_PER_POINT, MAX_WAITING = 100, 10_000

#: Bytes of JSON of a flow that a record contains.
MAX_RECORDED_FLOW = 8192


@define(eq=False)
class PivotRecorder(BatchWriter):
    """Records requests."""

    _store: IPivotStore
    #: What waits for the storage by a number that increases, and the numbers of each pivot point.
    _waiting: OrderedDict[int, PivotRecord] = field(init=False, factory=OrderedDict)
    _numbers: dict[str, deque[int]] = field(init=False, factory=dict)
    _latest_number: int = field(init=False, default=0)

    content = "records of pivot points"
    collect_interval = 0.5

    def record(self, question: Question, outcome: PivotOutcome, seconds: float) -> None:
        """Record a request that has ended after `seconds`, in memory for now."""
        point = question.point
        now = self._clock.seconds()
        document = make_document(question, outcome, seconds, now)
        self._add(PivotRecord(point.account_id, point.id, now, document))
        if self.running:
            self.schedule_flush()

    async def _write_batches(self) -> None:
        records = self._take_all()
        if not records:
            return
        try:
            await self._store.add_records(records)
        except StorageUnavailable:
            for record in [*records, *self._take_all()]:
                self._add(record)
            raise

    def _add(self, record: PivotRecord) -> None:
        self._latest_number += 1
        self._waiting[self._latest_number] = record
        numbers = self._numbers.setdefault(record.pivot_point_id, deque())
        numbers.append(self._latest_number)
        if len(numbers) > MAX_WAITING_PER_POINT:
            del self._waiting[numbers.popleft()]
        elif len(self._waiting) > MAX_WAITING:
            _, oldest = self._waiting.popitem(last=False)
            self._numbers[oldest.pivot_point_id].popleft()

    def _take_all(self) -> list[PivotRecord]:
        records = list(self._waiting.values())
        self._waiting.clear()
        self._numbers.clear()
        return records


def make_document(question: Question, outcome: PivotOutcome, seconds: float, now: float) -> Mapping[str, Any]:
    """Return the record of a request as it is listed; `now` is in Unix seconds."""
    answer = outcome.answer
    document: dict[str, Any] = {
        "pivot_id": question.id,
        "timestamp": to_gregorian(now),
        "result": outcome.kind,
        "duration_ms": round(seconds * 1000, 1),
        "clients_asked": len(question.asked),
        "request": normalize(question.call.values),
    }
    if answer is not None:
        document["answered_by"] = answer.answered_by
        if answer.twiml is not None:
            document["twiml"] = answer.twiml[:MAX_RECORDED_FLOW]
        flow = recordable_flow(answer)
        if flow is not None:
            document["flow"] = flow
    return document


def recordable_flow(answer: PivotAnswer) -> Mapping[str, Any] | None:
    """Return the flow of an answer; None for TwiML, and for one of more than `MAX_RECORDED_FLOW` bytes."""
    flow = answer.flow
    return flow if flow is not None and len(orjson.dumps(flow)) <= MAX_RECORDED_FLOW else None
