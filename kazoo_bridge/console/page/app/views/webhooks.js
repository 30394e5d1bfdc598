/** The account's webhooks and their health. */

import { BarChart } from "../charts.js";
import { KeyedList, button, h, setAttribute, setText } from "../dom.js";
import { relativeTime, setRelativeTime } from "../relative-time.js";
import { notify, withErrorToast } from "../toasts.js";
import { webhookState } from "../webhook-state.js";
import { HISTORY_LENGTH, POLL_INTERVAL_S } from "../webhooks.js";
import { openHookForm } from "./webhook-form.js";

const COLUMNS = ["Name", "Event", "URL", "State", "Health", "Pending"];

export class WebhooksView {
  constructor(app) {
    this.app = app;
    this.webhooks = app.webhooks;
    this.redraw = () => this.draw();
    this.results = resultChart();
    this.reEnable = button("Re-enable all failed webhooks", () => this.enableAll(), { hidden: true });
    const body = h("tbody", {});
    this.rows = new KeyedList(body, () => this.row());
    const head = COLUMNS.map((title) => h("th", { scope: "col" }, title));
    this.table = h(
      "table",
      { class: "hooks", "aria-label": "Webhooks" },
      h("thead", {}, h("tr", {}, head)),
      body,
    );
    this.empty = h("p", { class: "empty", role: "status" });
    this.element = h(
      "div",
      {},
      h("h1", {}, "Webhooks"),
      h("section", { class: "overview", "aria-label": "Overview" }, this.results.element),
      h(
        "div",
        { class: "toolbar" },
        button("New webhook", () => this.create(), { class: "primary" }),
        this.reEnable,
      ),
      h("div", { class: "table-wrapper" }, this.table, this.empty),
    );
    this.webhooks.addEventListener("change", this.redraw);
    this.webhooks.refresh();
    this.draw();
  }

  dispose() {
    this.webhooks.removeEventListener("change", this.redraw);
  }

  /** The time until the next probe of a suspended webhook passes. */
  tick() {
    this.rows.show(this.webhooks.hooks ?? [], (hook) => hook.id);
  }

  draw() {
    const hooks = this.webhooks.hooks ?? [];
    this.tick();
    this.table.hidden = !hooks.length;
    this.reEnable.hidden = !hooks.some((hook) => hook.disable_reason);
    const history = ["successes", "failures"].map((counter) => this.webhooks.history(counter));
    const [succeeded, failed] = history.map((values) => values.reduce((sum, value) => sum + value, 0));
    this.results.show(history, `${succeeded} succeeded, ${failed} failed`);
    setText(this.empty, this.emptyText());
  }

  emptyText() {
    const { hooks, error } = this.webhooks;
    if (error) return `Cannot list the webhooks: ${error}.`;
    if (hooks === null) return "Loading…";
    return hooks.length ? "" : "This account has no webhooks yet.";
  }

  row() {
    const cells = {
      link: h("a", {}),
      event: h("code", {}),
      url: h("span", { class: "url" }),
      state: h("span", {}),
      reason: h("small", {}),
      health: h("span", {}),
      lastResult: h("span", {}),
      lastTime: relativeTime(null),
      pending: h("span", {}),
    };
    const contents = [
      [cells.link],
      [cells.event],
      [cells.url],
      [cells.state, " ", cells.reason],
      [cells.health, " ", h("small", {}, cells.lastResult, cells.lastTime)],
      [cells.pending],
    ];
    const row = h(
      "tr",
      {},
      contents.map((content, index) => h("td", { "data-label": COLUMNS[index] }, content)),
    );
    row.update = (hook) => {
      setText(cells.link, hook.name);
      setAttribute(cells.link, "href", `#/webhooks/${encodeURIComponent(hook.id)}`);
      setText(cells.event, hook.hook);
      setText(cells.url, hook.uri);
      showState(cells.state, cells.reason, hook);
      setText(cells.health, healthText(hook.health));
      showLastAttempt(cells, hook.health);
      setText(cells.pending, hook.health.deliveries_waiting ?? 0);
    };
    return row;
  }

  async create() {
    const created = await openHookForm(this.app);
    if (created === null) return;
    await this.webhooks.refresh();
    location.hash = `#/webhooks/${encodeURIComponent(created.id)}`;
  }

  enableAll() {
    return withErrorToast("Re-enabling failed", async () => {
      const data = { "re-enable": true };
      const { count } = await this.app.rest.request("PATCH", this.webhooks.path(), { data });
      notify(`Re-enabled ${count} ${count === 1 ? "webhook" : "webhooks"}`);
      await this.webhooks.refresh();
    });
  }
}

/** Create the chart of the results of webhook attempts. */
export function resultChart() {
  const series = [
    { name: "succeeded", className: "bar-success" },
    { name: "failed", className: "bar-failure" },
  ];
  return new BarChart("Webhook attempts", series, `${(HISTORY_LENGTH * POLL_INTERVAL_S) / 60} minutes`);
}

/** Show on a badge whether a webhook sends, and the detail beside it. */
export function showState(badge, detail, hook) {
  const state = webhookState(hook);
  setText(badge, state.label);
  setAttribute(badge, "class", `badge ${state.kind}`);
  setText(detail, state.detail);
}

/** Describe a webhook's attempts. */
export function healthText({ successes = 0, failures = 0 }) {
  return successes + failures ? `${successes} succeeded, ${failures} failed` : "no attempts yet";
}

function showLastAttempt({ lastResult, lastTime }, { last_success: success = 0, last_failure: failure = 0 }) {
  lastTime.hidden = !success && !failure;
  const result = success >= failure ? "last success " : "last failure ";
  setText(lastResult, lastTime.hidden ? "" : result);
  setRelativeTime(lastTime, Math.max(success, failure));
}
