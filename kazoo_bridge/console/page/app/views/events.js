/** The event log: can be paused, searched and filtered; each event opens to its JSON. */

import { BarChart } from "../charts.js";
import { formatTime } from "../clock.js";
import { KeyedList, button, h, setAttribute, setText, throttle, toResults } from "../dom.js";
import { EVENT_KINDS, RATE_WINDOW_S } from "../events.js";

const MAX_ROWS = 200;
const REDRAW_INTERVAL_MS = 200;

/** Seconds over which the current rate is averaged. */
const AVERAGE_WINDOW_S = 10;

export class EventsView {
  constructor(app) {
    this.log = app.eventLog;
    /** The events at the time of the pause; null while the list is live. */
    this.paused = null;
    this.rate = rateChart();
    this.pause = button("Pause", () => this.togglePause(), { "aria-pressed": "false" });
    this.search = h("input", {
      type: "search",
      placeholder: "Name, key or content",
      "aria-label": "Search events",
      oninput: () => this.draw(),
      onkeydown: (event) => toResults(event, () => list.querySelector("summary")),
    });
    this.kindInputs = Object.keys(EVENT_KINDS).map((kind) =>
      h("input", { type: "checkbox", value: kind, checked: true, onchange: () => this.draw() }),
    );
    // On a line of its own: a longer text must not move the events below it.
    this.count = h("span", { class: "hint line" });
    const list = h("ol", {
      class: "events",
      "aria-label": "Events, newest first",
      // Already when the button goes down: what moves before it goes up is not clicked.
      onmousedown: (event) => this.pauseToOpen(event),
      onclick: (event) => this.pauseToOpen(event),
    });
    this.list = new KeyedList(list, (event) => this.row(event));
    this.empty = h("p", { class: "empty" });
    this.element = h(
      "div",
      {},
      h("h1", {}, "Events"),
      h("section", { class: "overview", "aria-label": "Overview" }, this.rate.element),
      h(
        "div",
        { class: "toolbar", role: "search" },
        this.pause,
        button("Clear", () => this.clear()),
        this.search,
        h(
          "fieldset",
          { class: "event-kinds" },
          h("legend", { class: "visually-hidden" }, "Kinds of events"),
          this.kindInputs.map((input) => h("label", {}, input, EVENT_KINDS[input.value])),
        ),
        this.count,
      ),
      list,
      this.empty,
    );
    this.redraw = throttle(() => this.draw(), REDRAW_INTERVAL_MS);
    this.log.addEventListener("change", this.redraw);
    this.draw();
    this.tick();
  }

  dispose() {
    this.log.removeEventListener("change", this.redraw);
  }

  tick() {
    showRate(this.rate, this.log);
  }

  togglePause() {
    // Events that have come since the last drawing would move what the user has just chosen.
    const drawn = () => this.log.events.filter(({ id }) => id <= this.drawnId);
    this.paused = this.paused === null ? { events: drawn(), lastId: this.drawnId } : null;
    // Opened events would be moved away by new ones.
    if (!this.paused) for (const details of this.opened()) details.open = false;
    setText(this.pause, this.paused ? "Resume" : "Pause");
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
    const kinds = new Set(this.kindInputs.filter((input) => input.checked).map((input) => input.value));
    const terms = this.search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const isShown = (event) => (event.kind === "gap" || kinds.has(event.kind)) && matches(event, terms);
    const filtered = events.filter(isShown);
    this.list.show(filtered.slice(0, MAX_ROWS), (event) => event.id);
    const shown =
      filtered.length > MAX_ROWS
        ? `the newest ${MAX_ROWS} of ${filtered.length}`
        : `${filtered.length} shown`;
    const newCount = this.paused ? this.log.lastId - this.paused.lastId : 0;
    const suffix = newCount ? `, ${newCount} more since the pause` : "";
    setText(this.count, this.paused ? `Paused: ${shown}${suffix}` : shown);
    setText(this.empty, filtered.length ? "" : events.length ? "No matching events." : "No events yet.");
  }

  row(event) {
    const badge = h("span", { class: `badge kind-${event.kind}` }, event.kindName);
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
      const copy = button("Copy JSON", (click) => copyText(click.target, json));
      details.append(
        h("p", { class: "hint" }, h("code", {}, event.routingKey), " ", copy),
        h("pre", { tabindex: "0", "aria-label": `JSON of ${event.name}` }, json),
      );
    });
    return h("li", {}, details);
  }
}

/** Create the chart of the event rate. */
export function rateChart() {
  const series = [{ name: "events", className: "bar-events" }];
  return new BarChart("Events per second", series, `${RATE_WINDOW_S / 60} minutes`);
}

/** Show the rate of an `EventLog` on its chart. */
export function showRate(chart, log) {
  const counts = log.perSecond();
  const recent = counts.slice(-AVERAGE_WINDOW_S).reduce((sum, count) => sum + count, 0);
  chart.show([counts], `${(recent / AVERAGE_WINDOW_S).toFixed(1)} now`);
}

function matches(event, terms) {
  if (!terms.length) return true;
  event.searchText ??=
    `${event.name} ${event.routingKey} ${event.summary} ${JSON.stringify(event.data)}`.toLowerCase();
  return terms.every((term) => event.searchText.includes(term));
}

async function copyText(target, text) {
  try {
    await navigator.clipboard.writeText(text);
    setText(target, "Copied");
  } catch {
    setText(target, "The browser does not allow copying");
  }
}
