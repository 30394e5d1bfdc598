/** Deliveries of a webhook that are pending or dead letters, and their replay. */

import { formatDateTime, toGregorian } from "../clock.js";
import { confirmDialog } from "../dialogs.js";
import { h, setText, singleClickButton } from "../dom.js";
import { relativeTime } from "../relative-time.js";
import { notify, withErrorToast } from "../toasts.js";
import { waitingReason } from "../webhook-state.js";
import { PagedList } from "./paged-list.js";

/** The default start of the period whose dead letters are replayed: a day ago. */
const DEFAULT_REPLAY_PERIOD_MS = 24 * 3600 * 1000;

export class DeliveryList {
  /**
   * `path(...segments)` builds a path below the webhook; `status` is "pending" or "dead"; `sender` sends the
   * deliveries.
   */
  constructor(rest, path, status, sender) {
    Object.assign(this, { rest, path, status, sender });
    this.isDead = status === "dead";
    const fetchPage = (query) => this.fetch(status, query);
    const emptyText = this.isDead ? "No dead letters." : "No pending deliveries.";
    this.list = new PagedList(fetchPage, (delivery) => this.row(delivery), emptyText);
    this.notice = h("p", { class: "notice", role: "status" });
    this.replayAll = h("button", { type: "submit" }, "Replay all");
    this.element = h("div", {}, this.notice, this.isDead ? this.replayForm() : null, this.list.element);
  }

  load() {
    return this.list.load();
  }

  /** Show what the state of the webhook means for its deliveries: a disabled one sends nothing. */
  showHook(hook) {
    setText(this.notice, this.isDead ? "" : waitingReason(hook));
    setText(this.replayAll, this.sender.isDisabled ? "Enable and replay all" : "Replay all");
    for (const control of this.element.querySelectorAll("button[data-retry]")) {
      setText(control, this.retryLabel());
    }
  }

  retryLabel() {
    return this.sender.label(this.isDead ? "Replay" : "Retry now");
  }

  fetch(status, query) {
    return this.rest.request("GET", this.path("deliveries"), { query: { ...query, status } });
  }

  replayForm() {
    const input = h("input", { type: "datetime-local", required: true });
    input.value = formatLocalInput(new Date(Date.now() - DEFAULT_REPLAY_PERIOD_MS));
    const onSubmit = async (event) => {
      event.preventDefault();
      const since = toGregorian(new Date(input.value));
      const enables = this.sender.isDisabled;
      const first = enables ? "The webhook is enabled. " : "";
      const detail = `${first}The receiver gets every delivery that failed since ${formatDateTime(since)}.`;
      const label = enables ? "Enable and replay" : "Replay";
      if (!(await confirmDialog("Replay all dead letters?", label, detail))) return;
      await withErrorToast("Replay failed", async () => {
        if (enables) await this.sender.enable();
        const { recovered } = await this.rest.send("POST", this.path("deliveries", "recover"), { since });
        notify(
          recovered
            ? `Replaying ${recovered} ${recovered === 1 ? "delivery" : "deliveries"}`
            : `No delivery has failed since ${formatDateTime(since)}`,
        );
        await this.load();
      });
    };
    return h(
      "form",
      { class: "toolbar", onsubmit: onSubmit },
      h("label", {}, "Failed since ", input),
      this.replayAll,
    );
  }

  row(delivery) {
    const attempts = `${delivery.attempts} ${delivery.attempts === 1 ? "attempt" : "attempts"}`;
    const next =
      delivery.next_attempt && !this.sender.isDisabled
        ? `next attempt ${formatDateTime(delivery.next_attempt)}`
        : "";
    const result = `${attempts}, ${delivery.reason || "not attempted yet"}`;
    const payload = JSON.stringify(delivery.payload, null, 2);
    return h(
      "div",
      { class: "record" },
      h(
        "details",
        {},
        h(
          "summary",
          {},
          relativeTime(delivery.created),
          h("code", {}, delivery.hook_event),
          h("span", {}, [result, next].filter(Boolean).join(" · ")),
        ),
        h("pre", { tabindex: "0", "aria-label": "Payload" }, payload),
      ),
      singleClickButton(this.retryLabel(), () => this.retry(delivery), { "data-retry": true }),
    );
  }

  async retry({ id }) {
    await this.sender.retry(id);
    await this.load();
  }
}

/** Format a date for an input of type datetime-local: local time, without a zone. */
function formatLocalInput(date) {
  return new Date(date.getTime() - date.getTimezoneOffset() * 60000).toISOString().slice(0, 16);
}
