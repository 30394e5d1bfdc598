/** Sends deliveries of a webhook again, and follows them until their result is known. */

import { formatDateTime, now } from "./clock.js";
import { t } from "./strings.js";
import { notifyProgress } from "./toasts.js";

/** How often, and how many times, the console looks for the result of an attempt. */
const RESULT_INTERVAL_MS = 1000;
const RESULT_CHECKS = 15;

/** Among this many of the newest attempts the answer to a delivery is looked for. */
const RECENT_ATTEMPTS = "25";

/** The console's clock and the server's may differ by nearly as much. */
const CLOCK_TOLERANCE_S = 4;

export class DeliverySender {
  /** `path(...segments)` builds a path below the webhook; `enable()` enables the webhook. */
  constructor(rest, path, enable) {
    Object.assign(this, { rest, path, enable });
    /** A disabled webhook sends nothing, so sending enables it. Views keep this current. */
    this.isDisabled = false;
  }

  /** The label of a button that sends; `label` is that while the webhook is enabled. */
  label(label) {
    return this.isDisabled ? t("deliveries.enableAndSend") : label;
  }

  /** Attempt a pending or dead delivery now, and show the result. */
  retry(id) {
    return this.send((isJustEnabled) => this.requestRetry(id, isJustEnabled));
  }

  /** Make the delivery of an attempt again, even if it was delivered, and show the result. */
  replay(attemptId) {
    return this.send(async () => {
      try {
        const { id } = await this.rest.send("POST", this.path("attempts", attemptId, "replay"));
        return { id, restarted: true };
      } catch (error) {
        throw error.status === 404 ? new Error(t("deliveries.attemptGone")) : error;
      }
    });
  }

  /**
   * `request(isJustEnabled)` asks the server to send, and resolves to the `id` of the delivery, and whether
   * its attempts are counted from 0 again.
   */
  async send(request) {
    const enables = this.isDisabled;
    const progress = notifyProgress(t(enables ? "deliveries.enabling" : "deliveries.sending"));
    try {
      if (enables) await this.enable();
      progress.update(t("deliveries.sending"));
      const sentAt = now();
      const { id, restarted } = await request(enables);
      const [kind, text] = await this.result(id, sentAt, restarted);
      progress[kind](text);
    } catch (error) {
      progress.fail(t("deliveries.notSent", { reason: error.message }));
    }
  }

  async requestRetry(id, isJustEnabled) {
    try {
      await this.rest.send("POST", this.path("deliveries", id, "retry"));
    } catch (error) {
      // Another node may learn a moment later that the webhook is enabled, and then sends by itself.
      if (!isJustEnabled || error.status !== 409) throw error;
      return { id, restarted: false };
    }
    return { id, restarted: true };
  }

  /**
   * Follow a delivery that was requested at `sentAt` until its attempt has a result. Resolves to the kind of
   * the toast that shows it, and its text.
   */
  async result(id, sentAt, restarted) {
    for (let check = 0; check < RESULT_CHECKS; check += 1) {
      if (check) await new Promise((resolve) => setTimeout(resolve, RESULT_INTERVAL_MS));
      const pending = await this.find("pending", id);
      if (!pending) {
        const dead = await this.find("dead", id);
        if (dead) return ["fail", t("deliveries.failed", { reason: dead.reason })];
        return ["succeed", await this.sentText(id, sentAt)];
      }
      if (this.isDisabled) return ["inform", t("deliveries.waits")];
      // Only a failed attempt counts, and moves the next one into the future.
      const hasFailed = restarted && pending.attempts > 0;
      if (hasFailed || pending.next_attempt > sentAt + CLOCK_TOLERANCE_S) {
        const next = formatDateTime(pending.next_attempt);
        return ["fail", t("deliveries.failedNext", { reason: pending.reason, next })];
      }
    }
    return ["inform", t("deliveries.stillWaits")];
  }

  async find(status, id) {
    const query = { status, filter_id: id };
    return (await this.rest.request("GET", this.path("deliveries"), { query })).data[0];
  }

  /** Return the text of success, with the receiver's answer if successful attempts are recorded. */
  async sentText(id, sentAt) {
    try {
      const query = { page_size: RECENT_ATTEMPTS };
      const attempts = (await this.rest.request("GET", this.path("attempts"), { query })).data;
      const answered = attempts.find(
        ({ timestamp, result, req_headers: headers }) =>
          result === "success" && headers?.["webhook-id"] === id && timestamp > sentAt - CLOCK_TOLERANCE_S,
      );
      return answered ? t("deliveries.sentAnswer", { status: answered.resp_status_code }) : t("deliveries.sent");
    } catch {
      return t("deliveries.sent");
    }
  }
}
