from __future__ import annotations

from kazoo_bridge.interfaces import Secret, StoredHook, TooManyHooks


def test_secrets_are_not_in_the_repr() -> None:
    secret = Secret("whsec_hunter2")
    hook = StoredHook("h", "a", {}, "1-x", 1, 1, secrets=(secret,))
    assert "hunter2" not in repr(secret)
    assert "hunter2" not in repr(hook)


def test_too_many_hooks_say_how_many_are_permitted() -> None:
    error = TooManyHooks(7)
    assert (str(error), error.limit) == ("an account may have 7 hooks", 7)
