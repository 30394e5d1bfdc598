"""What happens in offices besides calls: faxes come and go, somebody changes a user's settings, a text message arrives."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from twisted.internet.interfaces import IReactorTime

from kazoo_bridge.demo.notifications import FaxJob, NotificationPublisher
from kazoo_bridge.demo.tenants import OUTSIDERS, Tenant, fresh_call_id
from kazoo_bridge.demo.timer import Timer

#: Faxes that may be on their way at a time.
MAX_FAXES = 3

_SECONDS_PER_PAGE = (1.0, 3.0)


class BackgroundActivity:
    """All accounts'. Something happens every `seconds` on average."""

    def __init__(
        self,
        clock: IReactorTime,
        chance: random.Random,
        notices: NotificationPublisher,
        tenants: Sequence[Tenant],
        seconds: float,
    ) -> None:
        self._clock = clock
        self._chance = chance
        self._notices = notices
        self._tenants = tenants
        self._every = seconds
        self._next = Timer(clock)
        self._faxes: set[Timer] = set()

    def open(self) -> None:
        """Let things happen."""
        self._next.set(self._chance.expovariate(1 / self._every), self._next_activity)

    def close(self) -> None:
        """Leave everything where it is; nothing is left to be called later."""
        for alarm in (self._next, *self._faxes):
            alarm.clear()
        self._faxes.clear()

    def _next_activity(self) -> None:
        self.open()
        tenant = self._chance.choice(self._tenants)
        happening: Callable[[Tenant], None] = self._chance.choice((self._fax, self._edit, self._text_message))
        happening(tenant)

    def _edit(self, tenant: Tenant) -> None:
        user_id = self._chance.choice(tenant.people).user_id
        if user_id is not None:
            self._notices.document("doc_edited", tenant, "user", user_id)

    def _text_message(self, tenant: Tenant) -> None:
        self._notices.text_message(tenant, self._chance.choice(OUTSIDERS))

    def _fax(self, tenant: Tenant) -> None:
        if len(self._faxes) >= MAX_FAXES:
            return
        call_id, incoming = fresh_call_id(self._chance), self._chance.random() < 0.6
        remote, pages = self._chance.choice(OUTSIDERS), self._chance.randint(1, 5)
        fax = FaxJob(tenant, self._notices.monthly_id(), call_id, remote, incoming, pages)
        alarm = Timer(self._clock)
        self._faxes.add(alarm)
        self._notices.fax_status(fax, "start", "start", "the fax begins", 0)
        self._after_a_page(alarm, fax, 1)

    def _after_a_page(self, alarm: Timer, fax: FaxJob, page: int) -> None:
        alarm.set(self._chance.uniform(*_SECONDS_PER_PAGE), lambda: self._page(alarm, fax, page))

    def _page(self, alarm: Timer, fax: FaxJob, page: int) -> None:
        state = "receive" if fax.incoming else "send"
        self._notices.fax_status(fax, state, "pageresult", f"page {page} of {fax.pages} is through", page)
        if page < fax.pages:
            self._after_a_page(alarm, fax, page + 1)
            return
        self._faxes.discard(alarm)
        self._notices.fax_status(fax, "end", "result", "the fax is through", page)
        self._notices.fax_done(fax)
