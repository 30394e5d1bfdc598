from __future__ import annotations

import random

from kazoo_bridge.interfaces import Principal
from kazoo_bridge.token_bucket import TokenBucket
from kazoo_bridge.websockets.sessions.session import Session
from kazoo_bridge.websockets.sessions.waiting_sessions import WaitingSessions


def make_session(account_id: str) -> Session:
    session = Session("id", "192.0.2.1", "host", 0.0, TokenBucket(1, 1.0), 0.0)
    session.authenticate("token", Principal(account_id))
    return session


def test_the_oldest_of_the_account_with_the_most_is_found() -> None:
    waiting = WaitingSessions()
    victim, *attackers = [make_session(account) for account in "baaa"]
    for session in (victim, *attackers, *attackers):
        waiting.add(session)
    assert (len(waiting), waiting.count("a"), waiting.count("b"), waiting.count("c")) == (4, 3, 1, 0)
    assert waiting.oldest_of_largest() is attackers[0]
    assert waiting.oldest_of("b") is victim
    for session in attackers[:2]:
        waiting.discard(session)
    waiting.discard(attackers[0])
    waiting.add(make_session("b"))
    assert waiting.oldest_of_largest() is victim


def test_it_agrees_with_counting() -> None:
    randomly = random.Random(7)
    waiting, expected = WaitingSessions(), list[Session]()
    for _ in range(3000):
        if expected and randomly.random() < 0.45:
            session = randomly.choice(expected)
            expected.remove(session)
            waiting.discard(session)
        else:
            session = make_session(randomly.choice("aaaabbc"))
            expected.append(session)
            waiting.add(session)
        assert len(waiting) == len(expected)
        if expected:
            accounts = [session.account_id for session in expected]
            found = waiting.oldest_of_largest()
            assert accounts.count(found.account_id) == max(map(accounts.count, accounts))
            assert found is next(one for one in expected if one.account_id == found.account_id)
