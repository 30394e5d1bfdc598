"""Prometheus metrics that are read from the parts of the webhook service at each scrape."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from kazoo_bridge.metrics import (
    register_counter,
    register_gauge,
    register_labelled_counter,
    register_labelled_gauge,
)
from kazoo_bridge.webhooks.delivery.fair_scheduler import FairScheduler
from kazoo_bridge.webhooks.delivery.missed_events import REASONS, MissedEvents
from kazoo_bridge.webhooks.delivery.receiver_prober import PROBE_RESULTS, ReceiverProber
from kazoo_bridge.webhooks.event_handler import WebhookEventHandler
from kazoo_bridge.webhooks.hooks.registry import HookRegistry


def register_event_metrics(
    registry: CollectorRegistry, handler: WebhookEventHandler, missed: MissedEvents
) -> None:
    """Export how many events came, and how many of them reached no hook."""
    register_labelled_counter(
        registry, "webhook_events", "Events taken from the bus", "exchange", lambda: handler.events
    )
    register_labelled_counter(
        registry,
        "webhook_category_events",
        "Events in which a category has found something that hooks may want",
        "category",
        lambda: handler.events_by_category,
    )
    register_counter(
        registry, "webhook_events_matched", "Events that have matched a hook", lambda: handler.matched
    )
    register_counter(
        registry,
        "webhook_events_without_account",
        "Events without an account id",
        lambda: handler.without_account,
    )
    register_counter(
        registry,
        "webhook_events_with_unread_owner",
        "Events that reached no hook because the owner of their number could not be read",
        lambda: handler.unread_owner,
    )
    register_counter(
        registry,
        "webhook_events_of_unknown_accounts",
        "Events of accounts that the directory does not know",
        lambda: handler.unknown_account,
    )
    register_labelled_counter(
        registry,
        "events_missed",
        "Events that did not reach a hook and are not kept",
        "reason",
        lambda: dict.fromkeys(REASONS, 0) | missed.totals,
    )


def register_hook_metrics(registry: CollectorRegistry, hooks: HookRegistry, prober: ReceiverProber) -> None:
    """Export the number of hooks, and the probes of suspended ones."""
    register_labelled_gauge(
        registry,
        "hooks",
        "Hooks in memory: all but those that a person has disabled",
        "state",
        lambda: {"enabled": len(hooks), "suspended": hooks.suspended, "failed": hooks.failed},
    )
    register_gauge(registry, "webhooks_enabled", "Enabled hooks", lambda: len(hooks))
    register_gauge(
        registry,
        "webhooks_suspended",
        "Hooks that wait for their receivers to recover",
        lambda: hooks.suspended,
    )
    register_labelled_counter(
        registry,
        "webhook_probes",
        "Probes of the receivers of suspended hooks",
        "result",
        lambda: dict.fromkeys(PROBE_RESULTS, 0) | prober.results,
    )


def register_request_metrics(registry: CollectorRegistry, scheduler: FairScheduler) -> None:
    """Export the number of requests that are under way or wait."""
    register_gauge(
        registry, "requests_under_way", "Requests to receivers in flight", lambda: scheduler.in_flight
    )
    register_gauge(
        registry, "requests_queued", "Requests waiting in memory for a slot", lambda: scheduler.queued
    )
