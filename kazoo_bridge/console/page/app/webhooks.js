/** Polls the account's webhooks and their health, and records the results of attempts over time. */

import { accountPath } from "./rest.js";

export const POLL_INTERVAL_S = 5;

/** Number of poll intervals in the history. */
export const HISTORY_LENGTH = 60;

export class WebhookPoller extends EventTarget {
  constructor(rest, accountId) {
    super();
    this.rest = rest;
    this.path = (...segments) => accountPath(accountId, "webhooks", ...segments);
    /** Webhook documents with `health`; null before the first response. */
    this.hooks = null;
    /** Why the last poll failed; empty when it succeeded. */
    this.error = "";
    this.results = [];
  }

  /** Start polling. Hidden pages do not poll. */
  start() {
    const poll = () => document.visibilityState === "visible" && this.refresh();
    this.timer = setInterval(poll, POLL_INTERVAL_S * 1000);
    this.refresh();
  }

  /** Stop polling. */
  stop() {
    clearInterval(this.timer);
    this.stopped = true;
  }

  /** Poll now, or again after the poll in progress. */
  async refresh() {
    if (this.loading) {
      this.refreshQueued = true;
      return;
    }
    this.loading = true;
    try {
      const [hooks, healthList] = await Promise.all([
        this.rest.get(this.path(), { paginate: "false" }),
        this.rest.get(this.path("health"), { paginate: "false" }),
      ]);
      if (this.stopped) return;
      const healthById = new Map(healthList.map(({ id, ...health }) => [id, health]));
      const previous = this.hooks;
      this.hooks = hooks.map((hook) => ({ ...hook, health: healthById.get(hook.id) ?? {} }));
      this.error = "";
      if (previous !== null) this.recordResults(previous);
    } catch (error) {
      this.error = error.message;
    } finally {
      this.loading = false;
    }
    this.dispatchEvent(new Event("change"));
    if (this.refreshQueued && !this.stopped) {
      this.refreshQueued = false;
      this.refresh();
    }
  }

  /** Record how many attempts have succeeded and failed since the previous poll. */
  recordResults(previousHooks) {
    const previousHealth = new Map(previousHooks.map((hook) => [hook.id, hook.health]));
    // Counters of a hook that is new to this page cover its whole past, and reset counters decrease.
    const increase = (hook, counter) => {
      const previous = previousHealth.get(hook.id);
      return previous ? Math.max(0, (hook.health[counter] ?? 0) - (previous[counter] ?? 0)) : 0;
    };
    const total = (counter) => this.hooks.reduce((sum, hook) => sum + increase(hook, counter), 0);
    this.results.push({ successes: total("successes"), failures: total("failures") });
    if (this.results.length > HISTORY_LENGTH) this.results.shift();
  }

  /** Return the history of "successes" or "failures" per poll interval, oldest first. */
  history(counter) {
    const padding = Array(HISTORY_LENGTH - this.results.length).fill(0);
    return [...padding, ...this.results.map((result) => result[counter])];
  }
}
