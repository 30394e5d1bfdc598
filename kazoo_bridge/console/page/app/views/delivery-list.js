/** Deliveries of a webhook that are pending or dead letters, and their replay. */

import { formatDateTime, toGregorian } from "../clock.js";
import { confirmDialog } from "../dialogs.js";
import { button, h } from "../dom.js";
import { notify, withErrorToast } from "../toasts.js";
import { PagedList } from "./paged-list.js";

/** The default start of the period whose dead letters are replayed: a day ago. */
const DEFAULT_REPLAY_PERIOD_MS = 24 * 3600 * 1000;

export class DeliveryList {
  /** `path(...segments)` builds a path below the webhook; `status` is "pending" or "dead". */
  constructor(rest, path, status) {
    Object.assign(this, { rest, path, status });
    this.isDead = status === "dead";
    const fetchPage = (query) => rest.request("GET", path("deliveries"), { query: { ...query, status } });
    const emptyText = this.isDead ? "No dead letters." : "No pending deliveries.";
    this.list = new PagedList(fetchPage, (delivery) => this.row(delivery), emptyText);
    this.element = h("div", {}, this.isDead ? this.replayForm() : null, this.list.element);
  }

  load() {
    return this.list.load();
  }

  replayForm() {
    const input = h("input", { type: "datetime-local", required: true });
    input.value = formatLocalInput(new Date(Date.now() - DEFAULT_REPLAY_PERIOD_MS));
    const replayAll = async (event) => {
      event.preventDefault();
      const since = toGregorian(new Date(input.value));
      const detail = `The receiver gets every delivery that failed since ${formatDateTime(since)}.`;
      if (!(await confirmDialog("Replay all dead letters?", "Replay", detail))) return;
      await withErrorToast("Replay failed", async () => {
        const { recovered } = await this.rest.send("POST", this.path("deliveries", "recover"), { since });
        notify(`Replaying ${recovered} ${recovered === 1 ? "delivery" : "deliveries"}`);
        await this.load();
      });
    };
    return h(
      "form",
      { class: "toolbar", onsubmit: replayAll },
      h("label", {}, "Failed since ", input),
      h("button", { type: "submit" }, "Replay all"),
    );
  }

  row(delivery) {
    const attempts = `${delivery.attempts} ${delivery.attempts === 1 ? "attempt" : "attempts"}`;
    const next = delivery.next_attempt ? `next attempt ${formatDateTime(delivery.next_attempt)}` : "";
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
          h("time", {}, formatDateTime(delivery.created)),
          h("code", {}, delivery.hook_event),
          h("span", {}, [result, next].filter(Boolean).join(" · ")),
        ),
        h("pre", { tabindex: "0", "aria-label": "Payload" }, payload),
      ),
      button(this.isDead ? "Replay" : "Retry now", () => this.retry(delivery)),
    );
  }

  retry(delivery) {
    return withErrorToast("Replay failed", async () => {
      await this.rest.send("POST", this.path("deliveries", delivery.id, "retry"));
      notify("Replaying the delivery");
      await this.load();
    });
  }
}

/** Format a date for an input of type datetime-local: local time, without a zone. */
function formatLocalInput(date) {
  return new Date(date.getTime() - date.getTimezoneOffset() * 60000).toISOString().slice(0, 16);
}
