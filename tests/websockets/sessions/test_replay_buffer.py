from __future__ import annotations

from kazoo_bridge.websockets.server.frames import EventFrame
from kazoo_bridge.websockets.sessions.replay_buffer import FRAME_OVERHEAD, ReplayBuffer, ReplayMemory

ONE, TWO, THREE = "a" * 32, "b" * 32, "c" * 32


def make_frame(sequence: int, size: int = 100) -> EventFrame:
    """An event whose text has `size` bytes."""
    return EventFrame("call.*.*", b"{" * (size - 1), b"}", sequence)


def make_buffer(
    max_events: int = 10, account_id: str = ONE, memory: ReplayMemory | None = None
) -> ReplayBuffer:
    return ReplayBuffer(max_events, 0, account_id, memory or ReplayMemory(0, 0))


def room_for(events: int, size: int = 100) -> int:
    """The bytes that so many events of this size need."""
    return events * (size + FRAME_OVERHEAD)


class TestReplayBuffer:
    def test_the_events_after_a_sequence_are_returned_in_order(self) -> None:
        replay_buffer = make_buffer()
        for sequence in (3, 5, 9):
            replay_buffer.add(make_frame(sequence))
        assert [frame.sequence for frame in replay_buffer.after(3)] == [5, 9]
        assert [frame.sequence for frame in replay_buffer.after(4)] == [5, 9]
        assert replay_buffer.after(9) == []

    def test_the_oldest_events_are_dropped_and_leave_a_gap(self) -> None:
        replay_buffer = make_buffer(2)
        replay_buffer.add(make_frame(1))
        replay_buffer.add(make_frame(2))
        assert not replay_buffer.has_gap(0)
        replay_buffer.add(make_frame(3))
        assert [frame.sequence for frame in replay_buffer.after(0)] == [2, 3]
        assert replay_buffer.has_gap(0)
        assert not replay_buffer.has_gap(1)

    def test_its_token_is_hard_to_guess_and_not_logged(self) -> None:
        one, two = make_buffer(), make_buffer()
        assert len(one.token) == 48
        assert one.token != two.token
        assert one.token not in repr(one)

    def test_without_memory_the_oldest_events_make_room(self) -> None:
        memory = ReplayMemory(room_for(2), 0)
        replay_buffer = make_buffer(memory=memory)
        for sequence in (1, 2, 3):
            replay_buffer.add(make_frame(sequence))
        assert [frame.sequence for frame in replay_buffer.after(0)] == [2, 3]
        assert replay_buffer.has_gap(0)
        assert memory.bytes_total == room_for(2)

    def test_an_event_that_is_too_large_leaves_a_gap(self) -> None:
        memory = ReplayMemory(room_for(2), 0)
        replay_buffer = make_buffer(memory=memory)
        replay_buffer.add(make_frame(1))
        replay_buffer.add(make_frame(2, 10_000))
        assert replay_buffer.after(0) == []
        assert replay_buffer.has_gap(1)
        assert not replay_buffer.has_gap(2)
        assert (memory.bytes_total, memory.bytes_by_account) == (0, {})


class TestReplayMemory:
    def test_an_event_of_many_sessions_counts_once_for_each_account(self) -> None:
        memory = ReplayMemory(room_for(1), 0)
        buffers = [make_buffer(account_id=account, memory=memory) for account in (ONE, ONE, TWO)]
        frame = make_frame(1)
        for replay_buffer in buffers:
            replay_buffer.add(frame)
        assert memory.bytes_by_account == {ONE: room_for(1), TWO: room_for(1)}
        assert not any(replay_buffer.has_gap(0) for replay_buffer in buffers)
        buffers[0].clear()
        assert memory.bytes_total == room_for(2)
        for replay_buffer in buffers:
            replay_buffer.clear()
        assert (memory.bytes_total, memory.bytes_by_account, frame.holders) == (0, {}, {})

    def test_one_account_takes_nothing_from_another(self) -> None:
        memory = ReplayMemory(room_for(2), 0)
        greedy, other = make_buffer(memory=memory), make_buffer(account_id=TWO, memory=memory)
        other.add(make_frame(1))
        for sequence in range(2, 20):
            greedy.add(make_frame(sequence))
        assert not other.has_gap(0)
        assert greedy.has_gap(0)

    def test_beyond_the_total_only_accounts_with_more_than_their_share_lose_events(self) -> None:
        memory = ReplayMemory(0, room_for(9))
        greedy, other, third = (make_buffer(100, one, memory) for one in (ONE, TWO, THREE))
        for sequence in range(1, 10):
            greedy.add(make_frame(sequence))
        for sequence in range(10, 13):
            other.add(make_frame(sequence))
            third.add(make_frame(sequence))
        for sequence in range(13, 30):
            greedy.add(make_frame(sequence))
        assert [len(one.after(0)) for one in (greedy, other, third)] == [3, 3, 3]
        assert not other.has_gap(0)
        assert not third.has_gap(0)
        assert memory.bytes_total == room_for(9)
