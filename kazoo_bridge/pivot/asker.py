"""Asks clients what to do with a call: all at once, or one after another."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from secrets import token_hex
from typing import Any

from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from kazoo_bridge.interfaces import IPivotClients, PivotAnswer, UnknownPivotRequest
from kazoo_bridge.pivot.call_parameters import CallParameters
from kazoo_bridge.pivot.cluster import PivotCluster
from kazoo_bridge.pivot.point import PivotPoint
from kazoo_bridge.pivot.question import (
    GONE,
    NO_CLIENT,
    STOPPED,
    ClientAddress,
    PivotOutcome,
    Question,
)

_log = Logger()

#: Clients between which the time of a pivot point that rotates is divided, at most.
MAX_TURNS = 3

#: Calls whose client is remembered, and pivot points and clients whose latest turns are.
MAX_CALLS, MAX_TURNS_KEPT = 20_000, 10_000


@implementer(IPivotClients)
class NoClients:
    """The clients of a node that has not started."""

    def candidates(self, account_id: str, name: str) -> Sequence[str]:
        """See `IPivotClients`."""
        return ()

    def ask(
        self, account_id: str, name: str, event: Mapping[str, Any], only: Sequence[str] | None
    ) -> Sequence[str]:
        """See `IPivotClients`."""
        return ()


@define(eq=False)
class PivotAsker:
    """Asks this node's clients and those of the other nodes, and takes the first good answer.

    `clients` are those of this node. `questions` are those that wait on this node, by ``pivot_id``.
    `own_modules`: see `validate_flow`.
    """

    _clock: IReactorTime
    _cluster: PivotCluster
    _own_modules: tuple[str, ...] = ()
    clients: IPivotClients = field(init=False, factory=NoClients)
    questions: dict[str, Question] = field(init=False, factory=dict)
    #: The client that has answered first, by account and call.
    _clients_of_calls: OrderedDict[tuple[str, str], ClientAddress] = field(init=False, factory=OrderedDict)
    #: When a client had its latest turn, by pivot point; a number that increases.
    _turns: OrderedDict[tuple[str, ClientAddress], int] = field(init=False, factory=OrderedDict)
    _turn: int = field(init=False, default=0)

    async def ask(self, point: PivotPoint, call: CallParameters) -> tuple[Question, PivotOutcome]:
        """Let clients say what to do with a call; return the question and its end, within its time.

        Does not raise CancelledError: the outcome is then `GONE`.
        """
        node_id = self._cluster.node_id
        question = Question(self._clock, f"{node_id}-{token_hex(12)}", point, call, self._own_modules)
        self.questions[question.id] = question
        asking = Deferred.fromCoroutine(self._ask(question))
        asking.addErrback(self._log_unless_cancelled)
        asking.addCallback(lambda _: None if question.asked else question.give_up(NO_CLIENT))
        try:
            outcome = await question.done
        except CancelledError:
            outcome = PivotOutcome(GONE)
        finally:
            question.close()
            asking.cancel()
            del self.questions[question.id]
        if outcome.answered_from is not None and outcome.answered_from.client:
            question.asked.add(outcome.answered_from)  # other nodes may not have reported their clients yet
            if question.call.call_id is not None:
                self.remember_client(point.account_id, question.call.call_id, outcome.answered_from)
        return question, outcome

    def answer(
        self,
        account_id: str,
        pivot_id: str,
        answer: PivotAnswer,
        source: ClientAddress,
        pivot_point_id: str | None = None,
    ) -> None:
        """Take a client's answer to a question of this node.

        Raises `AnswerRefused`, and `UnknownPivotRequest` also for a question of another account, or of
        another pivot point than `pivot_point_id`, unless that is None.
        """
        question = self.questions.get(pivot_id)
        if (
            question is None
            or question.point.account_id != account_id
            or (pivot_point_id is not None and question.point.id != pivot_point_id)
        ):
            raise UnknownPivotRequest(pivot_id)
        question.answer(answer, source)

    def ask_for_other_node(
        self, account_id: str, name: str, event: Mapping[str, Any] | None, only: Sequence[str] | None
    ) -> Sequence[str]:
        """Send the event of another node's question to this node's clients; return those.

        Without an `event`, return those that it would be sent to. `only`: see `IPivotClients.ask`.
        """
        if event is None:
            return self.clients.candidates(account_id, name)
        return self.clients.ask(account_id, name, event, only)

    def remember_client(self, account_id: str, call_id: str, client: ClientAddress) -> None:
        """Let the client that has answered a call first be asked about it again."""
        if client.client:
            self._clients_of_calls.setdefault((account_id, call_id), client)
            if len(self._clients_of_calls) > MAX_CALLS:
                self._clients_of_calls.popitem(last=False)

    def forget_call(self, account_id: str, call_id: str) -> None:
        """Forget the client of a call that has ended."""
        self._clients_of_calls.pop((account_id, call_id), None)

    def stop(self) -> None:
        """End all questions with the fallback."""
        for question in tuple(self.questions.values()):
            question.give_up(STOPPED)

    def _log_unless_cancelled(self, failure: Failure) -> None:
        if not failure.check(CancelledError):
            _log.failure("asking clients failed", failure)

    async def _ask(self, question: Question) -> None:
        known = self._client_of(question)
        if known is not None:
            if await self._ask_one(question, known):
                return
            self.forget_call(question.point.account_id, question.call.call_id or "")
        if question.point.rotates:
            await self._ask_in_turn(question)
        else:
            await self._ask_all(question)

    def _client_of(self, question: Question) -> ClientAddress | None:
        if question.call.call_id is None:
            return None
        return self._clients_of_calls.get((question.point.account_id, question.call.call_id))

    async def _ask_all(self, question: Question) -> None:
        event = question.to_event()
        question.asked |= self._ask_here(question.point, event, None)
        question.asked |= await self._cluster.ask(question.point.account_id, question.point.name, event)

    async def _ask_in_turn(self, question: Question) -> None:
        point = question.point
        candidates = [
            ClientAddress(self._cluster.node_id, client)
            for client in self.clients.candidates(point.account_id, point.name)
        ]
        candidates += await self._cluster.ask(point.account_id, point.name, None)
        # The sort is stable: clients that were never asked come first, in the order of subscribing.
        candidates.sort(key=lambda client: self._turns.get((point.id, client), 0))
        share = point.timeout / max(1, min(len(candidates), MAX_TURNS))
        for client in candidates:
            self._count_turn(point, client)
            if await self._ask_one(question, client):
                await deferLater(self._clock, share)

    async def _ask_one(self, question: Question, client: ClientAddress) -> bool:
        """Ask one client; return whether it is connected."""
        point, event = question.point, question.to_event()
        if client.node == self._cluster.node_id:
            asked = self._ask_here(point, event, [client.client])
        else:
            asked = await self._cluster.ask(point.account_id, point.name, event, only=client)
        question.asked |= asked
        return bool(asked)

    def _ask_here(
        self, point: PivotPoint, event: Mapping[str, Any], only: Sequence[str] | None
    ) -> set[ClientAddress]:
        asked = self.clients.ask(point.account_id, point.name, event, only)
        return {ClientAddress(self._cluster.node_id, client) for client in asked}

    def _count_turn(self, point: PivotPoint, client: ClientAddress) -> None:
        self._turn += 1
        key = (point.id, client)
        self._turns[key] = self._turn
        self._turns.move_to_end(key)
        if len(self._turns) > MAX_TURNS_KEPT:
            self._turns.popitem(last=False)
