/** The account's webhooks with their health, looked at every few seconds, and how deliveries have gone meanwhile. */

import { accountPath } from "./rest.js";

/** Seconds between two looks. */
export const EVERY = 5;

/** Looks that the history has. */
export const LOOKS = 60;

export class WebhookOverview extends EventTarget {
  constructor(rest, accountId) {
    super();
    this.rest = rest;
    this.path = (...words) => accountPath(accountId, "webhooks", ...words);
    this.hooks = null;
    this.problem = "";
    this.outcomes = [];
  }

  /** Begin to look. */
  begin() {
    this.timer = setInterval(() => document.visibilityState === "visible" && this.refresh(), EVERY * 1000);
    this.refresh();
  }

  /** Look no longer. */
  end() {
    clearInterval(this.timer);
    this.ended = true;
  }

  /** Look now. */
  async refresh() {
    if (this.looking) {
      this.again = true;
      return;
    }
    this.looking = true;
    try {
      const [hooks, healths] = await Promise.all([
        this.rest.get(this.path(), { paginate: "false" }),
        this.rest.get(this.path("health"), { paginate: "false" }),
      ]);
      if (this.ended) return;
      const health = new Map(healths.map(({ id, ...one }) => [id, one]));
      const before = this.hooks;
      this.hooks = hooks.map((hook) => ({ ...hook, health: health.get(hook.id) ?? {} }));
      this.problem = "";
      if (before !== null) this.count(before);
    } catch (error) {
      this.problem = error.message;
    } finally {
      this.looking = false;
    }
    this.dispatchEvent(new Event("change"));
    if (this.again && !this.ended) {
      this.again = false;
      this.refresh();
    }
  }

  /** How many attempts have ended well and badly since the look before. */
  count(before) {
    const known = new Map(before.map((hook) => [hook.id, hook.health]));
    const grown = (name) =>
      this.hooks.reduce(
        (sum, hook) =>
          sum +
          (known.has(hook.id) ? Math.max(0, (hook.health[name] ?? 0) - (known.get(hook.id)[name] ?? 0)) : 0),
        0,
      );
    this.outcomes.push({ successes: grown("successes"), failures: grown("failures") });
    if (this.outcomes.length > LOOKS) this.outcomes.shift();
  }

  /** The history of one outcome, the oldest first. */
  history(name) {
    return [...Array(LOOKS - this.outcomes.length).fill(0), ...this.outcomes.map((one) => one[name])];
  }
}
