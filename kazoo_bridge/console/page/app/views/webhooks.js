/** The account's webhooks and their health; those that need attention come first. */

import { BarChart } from "../charts.js";
import { KeyedList, button, h, setAttribute, setText, toResults } from "../dom.js";
import { icon, setIcon } from "../icons.js";
import { relativeTime, setRelativeTime } from "../relative-time.js";
import { t } from "../strings.js";
import { notify, notifyError, withErrorToast } from "../toasts.js";
import { byAttention, fitsHookSearch, webhookState } from "../webhook-state.js";
import { POLL_INTERVAL_S } from "../webhooks.js";
import { EmptyState } from "./empty-state.js";
import { shareBar } from "./share-bar.js";
import { openHookForm } from "./webhook-form.js";

/** Key of the title, and class, of each column. */
const COLUMNS = [
  ["hooks.select", "select"],
  ["common.name", ""],
  ["hooks.event", ""],
  ["common.state", ""],
  ["hooks.health", ""],
  ["hooks.lastSeen", ""],
  ["hooks.pending", "number"],
];

export class WebhooksView {
  constructor(app) {
    this.app = app;
    this.webhooks = app.webhooks;
    /** Ids of the webhooks that are selected to be changed together. */
    this.selected = new Set();
    this.redraw = () => this.draw();
    this.results = resultChart();
    this.element = h(
      "div",
      {},
      this.header(),
      h("section", { class: "overview" }, this.results.element),
      this.toolbar(),
      this.table(),
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
    this.rows.show(this.shown(), (hook) => hook.id);
  }

  focusResults() {
    this.body.querySelector("a")?.focus({ preventScroll: true });
  }

  // -- elements

  header() {
    this.reEnable = button([icon("power"), t("hooks.reEnable")], () => this.enableAll(), { hidden: true });
    return h(
      "div",
      { class: "view-header" },
      h("h1", {}, t("view.webhooks")),
      h(
        "div",
        { class: "buttons" },
        this.reEnable,
        h("a", { class: "button", href: "#/attempts" }, icon("history"), t("hooks.allAttempts")),
        button([icon("plus"), t("hooks.new")], () => this.create(), { class: "primary" }),
      ),
    );
  }

  toolbar() {
    this.search = h("input", {
      type: "search",
      placeholder: t("hooks.searchHint"),
      "aria-label": t("hooks.search"),
      oninput: () => this.draw(),
      onkeydown: (event) => toResults(event, () => this.body.querySelector("a")),
    });
    this.selection = h("span", { class: "buttons start selection", hidden: true });
    this.selectionCount = h("span", { role: "status" });
    this.selection.append(
      this.selectionCount,
      button(t("hooks.enable"), () => this.setEnabled(true)),
      button(t("hooks.disable"), () => this.setEnabled(false)),
    );
    return h(
      "div",
      { class: "toolbar", role: "search" },
      h("span", { class: "search-field" }, icon("search"), this.search),
      this.selection,
    );
  }

  table() {
    this.body = h("tbody", {});
    this.rows = new KeyedList(this.body, (hook) => this.row(hook));
    this.body.addEventListener("click", ({ target }) => {
      if (target.closest("a, button, input, label") || !getSelection().isCollapsed) return;
      target.closest("tr").querySelector("a").click();
    });
    const head = COLUMNS.map(([key, name]) =>
      h("th", { scope: "col", class: name }, name === "select" ? h("span", { class: "visually-hidden" }, t(key)) : t(key)),
    );
    const table = h(
      "table",
      { class: "hooks", "aria-label": t("view.webhooks") },
      h("thead", {}, h("tr", {}, head)),
      this.body,
    );
    this.tableElement = table;
    const create = button([icon("plus"), t("hooks.first")], () => this.create());
    this.empty = new EmptyState("webhook", create);
    return h("div", { class: "table-wrapper" }, table, this.empty.element);
  }

  row(hook) {
    const select = h("input", {
      type: "checkbox",
      "aria-label": t("hooks.selectOne", { name: hook.name }),
      onchange: () => this.toggle(hook.id, select.checked),
    });
    const cells = {
      link: h("a", {}),
      event: h("code", {}),
      url: h("small", { class: "url" }),
      state: h("span", {}),
      reason: h("small", {}),
      share: shareBar(),
      lastIcon: icon("circle-check"),
      lastResult: h("span", { class: "visually-hidden" }),
      lastTime: relativeTime(null),
      pending: h("span", { class: "number" }),
    };
    const last = h("span", { class: "last-attempt" }, cells.lastIcon, cells.lastResult, " ", cells.lastTime);
    const contents = [
      [select],
      [cells.link, cells.url],
      [cells.event],
      [cells.state, " ", cells.reason],
      [cells.share],
      [last],
      [cells.pending],
    ];
    const row = h(
      "tr",
      {},
      contents.map((content, index) => {
        const [key, name] = COLUMNS[index];
        return h("td", { "data-label": t(key), class: name }, content);
      }),
    );
    row.update = (current) => {
      select.checked = this.selected.has(current.id);
      setText(cells.link, current.name);
      setAttribute(cells.link, "href", `#/webhooks/${encodeURIComponent(current.id)}`);
      setText(cells.event, current.hook);
      setText(cells.url, current.uri);
      showState(cells.state, cells.reason, current);
      cells.share.update(current.health);
      showLastAttempt(last, cells, current.health);
      setText(cells.pending, current.health.deliveries_waiting ?? 0);
    };
    return row;
  }

  // -- content

  shown() {
    const search = this.search.value.trim();
    return byAttention(this.webhooks.hooks ?? []).filter((hook) => fitsHookSearch(hook, search));
  }

  draw() {
    const { hooks, error } = this.webhooks;
    const all = hooks ?? [];
    const ids = new Set(all.map(({ id }) => id));
    for (const id of this.selected) if (!ids.has(id)) this.selected.delete(id);
    this.tick();
    this.drawSelection();
    this.tableElement.hidden = !this.rows.elements.size;
    this.reEnable.hidden = !all.some((hook) => hook.disable_reason);
    const history = ["successes", "failures"].map((counter) => this.webhooks.history(counter));
    const [successes, failures] = history.map((values) => values.reduce((sum, value) => sum + value, 0));
    this.results.show(history, t("hooks.attempts", { successes, failures }));
    if (error && hooks === null) this.empty.show(t("hooks.cannotList", { reason: error }), "", { iconName: "circle-alert" });
    else if (hooks === null) this.empty.show(t("common.loading"));
    else if (!all.length) this.empty.show(t("hooks.emptyTitle"), t("hooks.emptyText"), { isOffer: true });
    else this.empty.show(this.rows.elements.size ? "" : t("hooks.noMatch"), "", { iconName: "search" });
  }

  drawSelection() {
    this.selection.hidden = !this.selected.size;
    setText(this.selectionCount, this.selected.size ? t("hooks.selected", { count: this.selected.size }) : "");
  }

  // -- actions

  toggle(id, isSelected) {
    this.selected[isSelected ? "add" : "delete"](id);
    this.drawSelection();
  }

  /** Enable or disable the selected webhooks, one after the other. */
  async setEnabled(enabled) {
    let count = 0;
    for (const hook of (this.webhooks.hooks ?? []).filter(({ id }) => this.selected.has(id))) {
      const label = t("hooks.notChanged", { name: hook.name });
      const change = () => this.app.rest.send("PATCH", this.webhooks.path(hook.id), { enabled });
      if (!(await withErrorToast(label, change))) continue;
      this.selected.delete(hook.id);
      count += 1;
    }
    if (count) notify(t("hooks.changed", { count }));
    await this.webhooks.refresh();
    this.draw();
  }

  async create() {
    const created = await openHookForm(this.app);
    if (created === null) return;
    await this.webhooks.refresh();
    location.hash = `#/webhooks/${encodeURIComponent(created.id)}`;
  }

  async enableAll() {
    try {
      const data = { "re-enable": true };
      const { count } = await this.app.rest.request("PATCH", this.webhooks.path(), { data });
      notify(t("hooks.reEnabled", { count }));
      await this.webhooks.refresh();
    } catch (error) {
      notifyError(`${t("hooks.notReEnabled")}: ${error.message}`);
    }
  }
}

/** Create the chart of the results of webhook attempts. */
export function resultChart() {
  const series = [
    { name: t("hooks.succeeded"), className: "bar-success" },
    { name: t("hooks.failed"), className: "bar-failure" },
  ];
  return new BarChart(t("hooks.chart"), series, POLL_INTERVAL_S);
}

/** Show on a badge whether a webhook sends, and the detail beside it. */
export function showState(badge, detail, hook) {
  const state = webhookState(hook);
  setText(badge, state.label);
  setAttribute(badge, "class", `badge ${state.kind}`);
  setText(detail, state.detail);
}

function showLastAttempt(element, cells, { last_success: success = 0, last_failure: failure = 0 }) {
  element.hidden = !success && !failure;
  const isSuccess = success >= failure;
  setIcon(cells.lastIcon, isSuccess ? "circle-check" : "circle-x");
  setAttribute(element, "class", `last-attempt ${isSuccess ? "success" : "error"}`);
  setText(cells.lastResult, t(isSuccess ? "hooks.lastSuccess" : "hooks.lastFailure"));
  setRelativeTime(cells.lastTime, Math.max(success, failure));
}
