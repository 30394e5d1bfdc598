/** The account's webhooks and how each is doing. */

import { BarChart } from "../charts.js";
import { moment } from "../clock.js";
import { KeyedList, button, h, setAttribute, setText } from "../dom.js";
import { say, trying } from "../saying.js";
import { EVERY, LOOKS } from "../webhooks.js";
import { editHook } from "./webhook-form.js";

export class WebhooksView {
  constructor(console_) {
    this.console = console_;
    this.hooks = console_.hooks;
    this.draw = () => this.show();
    this.outcome = new BarChart(
      "Webhook attempts",
      [
        { name: "succeeded", className: "bar-good" },
        { name: "failed", className: "bar-bad" },
      ],
      `${(LOOKS * EVERY) / 60} minutes`,
    );
    this.reEnable = button("Re-enable all that failed", () => this.enableAll(), { hidden: true });
    const body = h("tbody", {});
    this.rows = new KeyedList(body, (hook) => this.row(hook));
    this.table = h(
      "table",
      { class: "hooks", "aria-label": "Webhooks" },
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          ["Name", "Event", "Goes to", "State", "Health", "Waiting"].map((title) =>
            h("th", { scope: "col" }, title),
          ),
        ),
      ),
      body,
    );
    this.empty = h("p", { class: "empty", role: "status" });
    this.element = h(
      "div",
      {},
      h("h1", {}, "Webhooks"),
      h("section", { class: "summary", "aria-label": "At a glance" }, this.outcome.element),
      h(
        "div",
        { class: "toolbar" },
        button("New webhook", () => this.create(), { class: "primary" }),
        this.reEnable,
      ),
      h("div", { class: "table-box" }, this.table, this.empty),
    );
    this.hooks.addEventListener("change", this.draw);
    this.hooks.refresh();
    this.show();
  }

  dispose() {
    this.hooks.removeEventListener("change", this.draw);
  }

  show() {
    const hooks = this.hooks.hooks ?? [];
    this.rows.show(hooks, (hook) => hook.id);
    this.table.hidden = !hooks.length;
    this.reEnable.hidden = !hooks.some((hook) => hook.disable_reason);
    const [good, bad] = [this.hooks.history("successes"), this.hooks.history("failures")];
    const [succeeded, failed] = [good, bad].map((values) => values.reduce((sum, one) => sum + one, 0));
    this.outcome.show([good, bad], `${succeeded} succeeded, ${failed} failed`);
    setText(
      this.empty,
      this.hooks.problem
        ? `The webhooks cannot be listed: ${this.hooks.problem}.`
        : this.hooks.hooks === null
          ? "Loading…"
          : hooks.length
            ? ""
            : "This account has no webhooks yet.",
    );
  }

  row() {
    const cells = {
      link: h("a", {}),
      hook: h("code", {}),
      uri: h("span", { class: "uri" }),
      state: h("span", {}),
      reason: h("small", {}),
      health: h("span", {}),
      last: h("small", {}),
      waiting: h("span", {}),
    };
    const cell = (label, ...content) => h("td", { "data-label": label }, content);
    const row = h(
      "tr",
      {},
      cell("Name", cells.link),
      cell("Event", cells.hook),
      cell("Goes to", cells.uri),
      cell("State", cells.state, " ", cells.reason),
      cell("Health", cells.health, " ", cells.last),
      cell("Waiting", cells.waiting),
    );
    row.update = (hook) => {
      setText(cells.link, hook.name);
      setAttribute(cells.link, "href", `#/webhooks/${encodeURIComponent(hook.id)}`);
      setText(cells.hook, hook.hook);
      setText(cells.uri, hook.uri);
      showState(cells.state, hook);
      setText(cells.reason, hook.disable_reason ?? "");
      setText(cells.health, healthWords(hook.health));
      setText(cells.last, lastWords(hook.health));
      setText(cells.waiting, hook.health.deliveries_waiting ?? 0);
    };
    return row;
  }

  async create() {
    const created = await editHook(this.console);
    if (created === null) return;
    await this.hooks.refresh();
    location.hash = `#/webhooks/${encodeURIComponent(created.id)}`;
  }

  enableAll() {
    return trying("Re-enabling", async () => {
      const { count } = await this.console.rest.ask("PATCH", this.hooks.path(), {
        data: { "re-enable": true },
      });
      say(`${count} ${count === 1 ? "webhook is" : "webhooks are"} enabled again`);
      await this.hooks.refresh();
    });
  }
}

/** Show on a badge whether a hook is enabled. */
export function showState(badge, hook) {
  const enabled = hook.enabled !== false;
  setText(badge, enabled ? (hook.health?.failures_in_window ? "Failing" : "Enabled") : "Disabled");
  setAttribute(
    badge,
    "class",
    `badge ${enabled ? (hook.health?.failures_in_window ? "held" : "answered") : "ended"}`,
  );
}

/** A hook's attempts in words. */
export function healthWords({ successes = 0, failures = 0 }) {
  return successes + failures ? `${successes} succeeded, ${failures} failed` : "nothing sent yet";
}

function lastWords({ last_success: good, last_failure: bad }) {
  if (!good && !bad) return "";
  return (good ?? 0) >= (bad ?? 0) ? `last success ${moment(good)}` : `last failure ${moment(bad)}`;
}
