/** Deliveries of a webhook that are pending or dead letters, and their replay. */

import { formatDateTime, now, toGregorian } from "../clock.js";
import { confirmDialog } from "../dialogs.js";
import { button, h, setText } from "../dom.js";
import { notify, notifyProgress, withErrorToast } from "../toasts.js";
import { waitingReason } from "../webhook-state.js";
import { PagedList } from "./paged-list.js";

/** The default start of the period whose dead letters are replayed: a day ago. */
const DEFAULT_REPLAY_PERIOD_MS = 24 * 3600 * 1000;

/** How often, and how many times, the console looks for the result of an attempt. */
const RESULT_INTERVAL_MS = 1000;
const RESULT_CHECKS = 15;

export class DeliveryList {
  /**
   * `path(...segments)` builds a path below the webhook; `status` is "pending" or "dead"; `enable()` enables
   * the webhook.
   */
  constructor(rest, path, status, enable) {
    Object.assign(this, { rest, path, status, enable });
    this.isDead = status === "dead";
    this.isDisabled = false;
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
    this.isDisabled = hook.enabled === false;
    setText(this.notice, this.isDead ? "" : waitingReason(hook));
    setText(this.replayAll, this.isDisabled ? "Enable and replay all" : "Replay all");
    for (const control of this.element.querySelectorAll("button[data-retry]")) {
      setText(control, this.retryLabel());
    }
  }

  retryLabel() {
    if (this.isDisabled) return "Enable and send";
    return this.isDead ? "Replay" : "Retry now";
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
      const enables = this.isDisabled;
      const first = enables ? "The webhook is enabled. " : "";
      const detail = `${first}The receiver gets every delivery that failed since ${formatDateTime(since)}.`;
      const label = enables ? "Enable and replay" : "Replay";
      if (!(await confirmDialog("Replay all dead letters?", label, detail))) return;
      await withErrorToast("Replay failed", async () => {
        if (enables) await this.enable();
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
      delivery.next_attempt && !this.isDisabled
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
          h("time", {}, formatDateTime(delivery.created)),
          h("code", {}, delivery.hook_event),
          h("span", {}, [result, next].filter(Boolean).join(" · ")),
        ),
        h("pre", { tabindex: "0", "aria-label": "Payload" }, payload),
      ),
      button(this.retryLabel(), () => this.retry(delivery), { "data-retry": true }),
    );
  }

  /** Attempt a delivery again, after enabling the webhook if it is disabled, and show the result. */
  async retry({ id }) {
    const enables = this.isDisabled;
    const progress = notifyProgress(enables ? "Enabling the webhook…" : "Sending the delivery…");
    try {
      if (enables) await this.enable();
      progress.update("Sending the delivery…");
      const sentAt = now();
      await this.requestRetry(id, enables);
      await this.showResult(id, sentAt, progress);
      await this.load();
    } catch (error) {
      progress.fail(`The delivery was not sent: ${error.message}`);
    }
  }

  async requestRetry(id, isJustEnabled) {
    try {
      await this.rest.send("POST", this.path("deliveries", id, "retry"));
    } catch (error) {
      // Another node may learn a moment later that the webhook is enabled, and then sends by itself.
      if (!isJustEnabled || error.status !== 409) throw error;
    }
  }

  /** Follow a delivery until its attempt has a result; `sentAt` is when it was asked for. */
  async showResult(id, sentAt, progress) {
    for (let check = 0; check < RESULT_CHECKS; check += 1) {
      const [pending] = (await this.fetch("pending", { filter_id: id })).data;
      if (!pending) {
        const [dead] = (await this.fetch("dead", { filter_id: id })).data;
        if (dead) progress.fail(`The delivery failed: ${dead.reason}`);
        else progress.succeed("The delivery was sent");
        return;
      }
      // Only a failed attempt moves the next one into the future.
      if (pending.next_attempt > sentAt + 1) {
        const next = formatDateTime(pending.next_attempt);
        progress.fail(`The delivery failed: ${pending.reason}; next attempt ${next}`);
        return;
      }
      await new Promise((resolve) => setTimeout(resolve, RESULT_INTERVAL_MS));
    }
    progress.inform("The delivery still waits for its attempt");
  }
}

/** Format a date for an input of type datetime-local: local time, without a zone. */
function formatLocalInput(date) {
  return new Date(date.getTime() - date.getTimezoneOffset() * 60000).toISOString().slice(0, 16);
}
