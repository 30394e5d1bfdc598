from __future__ import annotations

from kazoo_bridge.interfaces import Delivery, DeliveryResults


def test_payloads_and_inline_hooks_are_not_in_the_repr() -> None:
    delivery = Delivery(
        "d", "h", "a", "sms", "e", {"body": "confidential"}, 1.0, inline_hook={"uri": "http://secret/"}
    )
    assert "confidential" not in repr(delivery)
    assert "secret" not in repr(delivery)


def test_a_delivery_is_unordered_and_not_attempted_unless_it_says_otherwise() -> None:
    delivery = Delivery("d", "h", "a", "sms", "e", {}, 1.0)
    assert (delivery.ordering_key, delivery.inline_hook, delivery.attempts) == ("", None, 0)


def test_results_are_empty_unless_they_say_otherwise() -> None:
    results = DeliveryResults()
    assert not any((results.delivered, results.retry, results.dead, results.released))
