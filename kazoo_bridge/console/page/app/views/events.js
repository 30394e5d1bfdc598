/** The event log: can be paused, searched and filtered; each event opens to its JSON. */

import { BarChart } from "../charts.js";
import { copyText } from "../clipboard.js";
import { formatTime } from "../clock.js";
import { KeyedList, button, h, setAttribute, setText, throttle, toResults } from "../dom.js";
import { kindIcon, kindName } from "../events.js";
import { icon } from "../icons.js";
import { t } from "../strings.js";
import { notify, notifyError } from "../toasts.js";
import { EmptyState } from "./empty-state.js";

const MAX_ROWS = 200;
const REDRAW_INTERVAL_MS = 200;

/** Seconds over which the current rate is averaged. */
const AVERAGE_WINDOW_S = 10;

export class EventsView {
  /** `callId`: search for the events of this call; undefined for all. */
  constructor(app, callId) {
    this.log = app.eventLog;
    /** The events at the time of the pause; null while the list is live. */
    this.paused = null;
    /** The kinds that are not shown. */
    this.hiddenKinds = new Set();
    this.rate = rateChart();
    this.list = new KeyedList(this.listElement(), (event) => this.row(event));
    this.empty = new EmptyState("activity");
    this.element = h(
      "div",
      {},
      h("h1", {}, t("view.events")),
      h("section", { class: "overview" }, this.rate.element),
      this.toolbar(callId ?? ""),
      this.list.parent,
      this.empty.element,
    );
    this.redraw = throttle(() => this.draw(), REDRAW_INTERVAL_MS);
    this.log.addEventListener("change", this.redraw);
    this.drawKinds = () => this.kindsElement.replaceChildren(...this.kindInputs());
    this.log.addEventListener("kinds", this.drawKinds);
    this.drawKinds();
    this.draw();
    this.tick();
  }

  dispose() {
    this.log.removeEventListener("change", this.redraw);
    this.log.removeEventListener("kinds", this.drawKinds);
  }

  tick() {
    showRate(this.rate, this.log);
  }

  focusResults() {
    this.list.parent.querySelector("summary")?.focus({ preventScroll: true });
  }

  // -- elements

  listElement() {
    return h("ol", {
      class: "events",
      "aria-label": t("events.list"),
      // Already when the button goes down: what moves before it goes up is not clicked.
      onmousedown: (event) => this.pauseToOpen(event),
      onclick: (event) => this.pauseToOpen(event),
    });
  }

  toolbar(search) {
    this.pauseIcon = icon("pause");
    this.pauseLabel = h("span", {}, t("events.pause"));
    this.pause = button([this.pauseIcon, this.pauseLabel], () => this.togglePause(), { "aria-pressed": "false" });
    this.search = h("input", {
      type: "search",
      placeholder: t("events.searchHint"),
      "aria-label": t("events.search"),
      value: search,
      oninput: () => this.draw(),
      onkeydown: (event) => toResults(event, () => this.list.parent.querySelector("summary")),
    });
    this.kindsElement = h("div", { class: "event-kinds", role: "group", "aria-label": t("events.kinds") });
    // On a line of its own: a longer text must not move the events below it.
    this.count = h("span", { class: "hint line" });
    return h(
      "div",
      { class: "toolbar", role: "search" },
      this.pause,
      button(t("events.clear"), () => this.clear()),
      h("span", { class: "search-field" }, icon("search"), this.search),
      this.kindsElement,
      this.count,
    );
  }

  kindInputs() {
    return this.log.kinds.map((kind) => {
      const onchange = ({ target }) => {
        this.hiddenKinds[target.checked ? "delete" : "add"](kind);
        this.draw();
      };
      const input = h("input", { type: "checkbox", value: kind, checked: !this.hiddenKinds.has(kind), onchange });
      return h("label", { class: `kind-${kindClass(kind)}` }, input, icon(kindIcon(kind)), kindName(kind));
    });
  }

  togglePause() {
    // Events that have come since the last drawing would move what the user has just chosen.
    const drawn = () => this.log.events.filter(({ id }) => id <= this.drawnId);
    this.paused = this.paused === null ? { events: drawn(), lastId: this.drawnId } : null;
    // Opened events would be moved away by new ones.
    if (!this.paused) for (const details of this.opened()) details.open = false;
    setText(this.pauseLabel, t(this.paused ? "events.resume" : "events.pause"));
    setAttribute(this.pause, "aria-pressed", String(this.paused !== null));
    this.draw();
  }

  /** Pause when an event is opened, so that it stays where it is. */
  pauseToOpen({ target }) {
    if (this.paused === null && target.closest("summary")) this.togglePause();
  }

  opened() {
    return this.list.parent.querySelectorAll("details[open]");
  }

  clear() {
    this.log.clear();
    if (this.paused) this.togglePause();
    this.draw();
  }

  draw() {
    if (!this.paused) this.drawnId = this.log.lastId;
    const events = this.paused?.events ?? this.log.events;
    const terms = this.search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const filtered = events.filter((event) => !this.hiddenKinds.has(event.kind) && matches(event, terms));
    this.list.show(filtered.slice(0, MAX_ROWS), (event) => event.id);
    const count = filtered.length;
    const shown = count > MAX_ROWS ? t("events.newest", { shown: MAX_ROWS, count }) : t("events.shown", { count });
    const newCount = this.paused ? this.log.lastId - this.paused.lastId : 0;
    const suffix = newCount ? t("events.more", { count: newCount }) : "";
    setText(this.count, this.paused ? `${t("events.paused", { shown })}${suffix}` : shown);
    if (count) this.empty.show("");
    else if (events.length) this.empty.show(t("events.noMatch"), t("events.noMatchDetail"), { iconName: "search" });
    else this.empty.show(t("events.noneTitle"), t("events.noneDetail"));
  }

  row(event) {
    const badge = h("span", { class: `badge kind-${kindClass(event.kind)}` }, icon(kindIcon(event.kind)), event.kindName);
    const details = h(
      "details",
      { "data-kind": event.kind },
      h(
        "summary",
        {},
        h("time", {}, formatTime(event.receivedAt)),
        badge,
        h("b", {}, event.name),
        h("span", { class: "event-summary" }, event.summary),
      ),
    );
    // The content is created when the element is opened, because most never are.
    details.addEventListener("toggle", () => {
      if (details.children.length > 1) return;
      const json = JSON.stringify(event.data, null, 2);
      const text = h("pre", { tabindex: "0", "aria-label": t("events.json", { name: event.name }) }, json);
      details.append(this.links(event, json, text), text);
    });
    return h("li", {}, details);
  }

  /** Links to what belongs to an event, and a button that copies it. */
  links({ data, routingKey }, json, text) {
    const callId = typeof data.call_id === "string" ? data.call_id : "";
    const link = (route, key, name) =>
      h("a", { href: `#/${route}/${encodeURIComponent(callId)}` }, icon(name), t(key));
    const copy = button([icon("copy"), t("events.copyJson")], async () => {
      if (await copyText(json, () => getSelection().selectAllChildren(text))) notify(t("common.copied", { what: "JSON" }));
      else notifyError(t("common.noCopying"));
    });
    return h(
      "p",
      { class: "links" },
      h("code", {}, routingKey),
      callId && [
        link("events", "events.ofCall", "activity"),
        link("calls", "events.openCall", "phone"),
        link("attempts", "attempts.callAttempts", "webhook"),
      ],
      copy,
    );
  }
}

/** The colours are those of known kinds; others share one. */
const kindClass = (kind) =>
  ["call", "notification", "object", "fax", "conference", "gap"].includes(kind) ? kind : "own";

/** Create the chart of the event rate. */
export function rateChart() {
  return new BarChart(t("events.rate"), [{ name: t("events.series"), className: "bar-events" }], 1);
}

/** Show the rate of an `EventLog` on its chart. */
export function showRate(chart, log) {
  const counts = log.perSecond();
  const recent = counts.slice(-AVERAGE_WINDOW_S).reduce((sum, count) => sum + count, 0);
  chart.show([counts], t("events.rateNow", { rate: Math.round((recent / AVERAGE_WINDOW_S) * 10) / 10 }));
}

function matches(event, terms) {
  if (!terms.length) return true;
  event.searchText ??=
    `${event.name} ${event.routingKey} ${event.summary} ${JSON.stringify(event.data)}`.toLowerCase();
  return terms.every((term) => event.searchText.includes(term));
}
