"""Activity besides calls: faxes, changed users, and text messages."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from twisted.internet.interfaces import IReactorTime

from kazoo_bridge.demo.notifications import FaxJob, NotificationPublisher
from kazoo_bridge.demo.tenants import OUTSIDERS, Tenant, make_call_id
from kazoo_bridge.demo.timer import Timer

#: Simultaneous faxes.
MAX_FAXES = 3

_SECONDS_PER_PAGE = (1.0, 3.0)


class BackgroundActivity:
    """Random activity of all accounts, every `interval` seconds on average."""

    def __init__(
        self,
        clock: IReactorTime,
        rng: random.Random,
        notifications: NotificationPublisher,
        tenants: Sequence[Tenant],
        interval: float,
    ) -> None:
        self._clock = clock
        self._rng = rng
        self._notifications = notifications
        self._tenants = tenants
        self._interval = interval
        self._next = Timer(clock)
        self._faxes: set[Timer] = set()

    def start(self) -> None:
        """Schedule the next activity."""
        self._next.set(self._rng.expovariate(1 / self._interval), self._next_activity)

    def stop(self) -> None:
        """Cancel all delayed calls."""
        for timer in (self._next, *self._faxes):
            timer.clear()
        self._faxes.clear()

    def _next_activity(self) -> None:
        self.start()
        tenant = self._rng.choice(self._tenants)
        activity: Callable[[Tenant], None] = self._rng.choice((self._fax, self._edit, self._text_message))
        activity(tenant)

    def _edit(self, tenant: Tenant) -> None:
        user_id = self._rng.choice(tenant.people).user_id
        if user_id is not None:
            self._notifications.document("doc_edited", tenant, "user", user_id)

    def _text_message(self, tenant: Tenant) -> None:
        self._notifications.text_message(tenant, self._rng.choice(OUTSIDERS))

    def _fax(self, tenant: Tenant) -> None:
        if len(self._faxes) >= MAX_FAXES:
            return
        call_id, incoming = make_call_id(self._rng), self._rng.random() < 0.6
        remote, pages = self._rng.choice(OUTSIDERS), self._rng.randint(1, 5)
        fax = FaxJob(tenant, self._notifications.monthly_id(), call_id, remote, incoming, pages)
        timer = Timer(self._clock)
        self._faxes.add(timer)
        self._notifications.fax_status(fax, "start", "start", "the fax starts", 0)
        self._schedule_page(timer, fax, 1)

    def _schedule_page(self, timer: Timer, fax: FaxJob, page: int) -> None:
        timer.set(self._rng.uniform(*_SECONDS_PER_PAGE), lambda: self._on_page(timer, fax, page))

    def _on_page(self, timer: Timer, fax: FaxJob, page: int) -> None:
        state = "receive" if fax.incoming else "send"
        self._notifications.fax_status(
            fax, state, "pageresult", f"page {page} of {fax.pages} is transferred", page
        )
        if page < fax.pages:
            self._schedule_page(timer, fax, page + 1)
            return
        self._faxes.discard(timer)
        self._notifications.fax_status(fax, "end", "result", "the fax is transferred", page)
        self._notifications.fax_done(fax)
