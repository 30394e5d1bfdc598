from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from zope.interface.verify import verifyObject

from kazoo_bridge.calls.account_calls import AccountCalls, CallsDiff
from kazoo_bridge.calls.watchers import WatchedAccount, Watcher
from kazoo_bridge.interfaces import CallChange, ICallWatch
from tests.calls.harness import RecordingWatcher
from tests.calls.switch import ACCOUNT

_CALL = {"call_id": "c1", "state": "ringing"}


def make_account(*receivers: RecordingWatcher) -> WatchedAccount:
    account = WatchedAccount(AccountCalls(ACCOUNT))
    account.calls.calls["c1"] = _CALL
    account.watchers = [Watcher(receiver, account.watchers.remove) for receiver in receivers]
    return account


def test_a_watcher_provides_its_interface() -> None:
    assert verifyObject(ICallWatch, Watcher(RecordingWatcher(), lambda watcher: None))


def test_a_stopped_watcher_reports_it_once_and_receives_nothing() -> None:
    receiver, stopped = RecordingWatcher(), list[Watcher]()
    watcher = Watcher(receiver, stopped.append)
    watcher.stop()
    watcher.stop()
    watcher.notify(CallChange("stale"))
    assert (stopped, receiver.changes) == ([watcher], [])


def test_nothing_is_sent_before_the_first_query_has_ended() -> None:
    receiver = RecordingWatcher()
    account = make_account(receiver)
    account.send_snapshots()
    account.notify(CallsDiff([_CALL], ["c2"]))
    assert receiver.changes == []


def test_a_snapshot_is_sent_once_and_changes_follow() -> None:
    receiver = RecordingWatcher()
    account = make_account(receiver)
    account.ready = True
    account.send_snapshots()
    account.send_snapshots()
    account.notify(CallsDiff([_CALL], ["c1"]))
    account.notify(CallsDiff())
    assert receiver.changes == [
        CallChange("snapshot", calls=[_CALL]),
        CallChange("changed", calls=[_CALL]),
        CallChange("removed", call_ids=["c1"]),
    ]


def test_stale_is_sent_once_even_before_a_snapshot_and_ends_with_a_snapshot() -> None:
    receiver = RecordingWatcher()
    account = make_account(receiver)
    account.stale = True
    account.send_snapshots()
    account.send_snapshots()
    assert receiver.kinds == ["stale"]
    account.ready, account.stale = True, False
    account.send_snapshots()
    account.send_snapshots()
    assert receiver.kinds == ["stale", "snapshot"]


def test_end_cancels_the_running_and_the_next_query() -> None:
    clock, account = Clock(), make_account(RecordingWatcher())
    querying: Deferred[None] = Deferred()
    errors = list[object]()
    querying.addErrback(lambda failure: errors.append(failure.check(CancelledError)))
    account.querying = querying
    account.next = clock.callLater(5, lambda: None)
    account.end()
    assert (account.watchers, errors, clock.getDelayedCalls()) == ([], [CancelledError], [])
