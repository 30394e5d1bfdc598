/** The stream of events: it can be stopped to be read, narrowed down, and each event opened to its JSON. */

import { BarChart } from "../charts.js";
import { timeOfDay } from "../clock.js";
import { KeyedList, button, h, setAttribute, setText, throttled } from "../dom.js";
import { EVENT_KINDS, SECONDS } from "../events.js";

/** Rows that are in the page at once. */
const MOST_SHOWN = 200;

export class EventsView {
  constructor(console_) {
    this.log = console_.events;
    this.stopped = null;
    this.rate = new BarChart(
      "Events per second",
      [{ name: "events", className: "bar-events" }],
      `${SECONDS / 60} minutes`,
    );
    this.pause = button("Pause", () => this.togglePause(), { "aria-pressed": "false" });
    this.search = h("input", {
      type: "search",
      placeholder: "Name, key or content",
      "aria-label": "Search events",
      oninput: () => this.draw(),
    });
    this.kinds = Object.entries(EVENT_KINDS).map(([kind, name]) =>
      h(
        "label",
        {},
        h("input", { type: "checkbox", value: kind, checked: true, onchange: () => this.draw() }),
        name,
      ),
    );
    this.count = h("span", { class: "hint" });
    const list = h("ol", { class: "events", "aria-label": "Events, the latest first" });
    this.list = new KeyedList(list, (event) => this.row(event));
    this.empty = h("p", { class: "empty" });
    this.element = h(
      "div",
      {},
      h("h1", {}, "Events"),
      h("section", { class: "summary", "aria-label": "At a glance" }, this.rate.element),
      h(
        "div",
        { class: "toolbar", role: "search" },
        this.pause,
        button("Clear", () => this.clear()),
        this.search,
        h("fieldset", { class: "kinds" }, h("legend", { class: "unseen" }, "Kinds of events"), this.kinds),
        this.count,
      ),
      list,
      this.empty,
    );
    this.redraw = throttled(() => this.draw(), 200);
    this.log.addEventListener("change", this.redraw);
    this.draw();
    this.tick();
  }

  dispose() {
    this.log.removeEventListener("change", this.redraw);
  }

  tick() {
    const counts = this.log.perSecond();
    this.rate.show([counts], `${(counts.slice(-10).reduce((sum, one) => sum + one, 0) / 10).toFixed(1)} now`);
  }

  togglePause() {
    this.stopped = this.stopped === null ? { events: [...this.log.events], lastId: this.log.lastId } : null;
    setText(this.pause, this.stopped ? "Go on" : "Pause");
    setAttribute(this.pause, "aria-pressed", String(this.stopped !== null));
    this.draw();
  }

  clear() {
    this.log.clear();
    if (this.stopped) this.togglePause();
    this.draw();
  }

  draw() {
    const events = this.stopped?.events ?? this.log.events;
    const kinds = new Set(
      this.kinds
        .map((label) => label.querySelector("input"))
        .filter((box) => box.checked)
        .map((box) => box.value),
    );
    const words = this.search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const wanted = events.filter(
      (event) => (event.kind === "gap" || kinds.has(event.kind)) && matches(event, words),
    );
    this.list.show(wanted.slice(0, MOST_SHOWN), (event) => event.id);
    const waiting = this.stopped ? this.log.lastId - this.stopped.lastId : 0;
    setText(
      this.count,
      [
        wanted.length > MOST_SHOWN
          ? `the latest ${MOST_SHOWN} of ${wanted.length}`
          : `${wanted.length} shown`,
        waiting && `${waiting} more since the pause`,
      ]
        .filter(Boolean)
        .join(", "),
    );
    setText(this.empty, wanted.length ? "" : events.length ? "No event fits." : "No events yet.");
  }

  row(event) {
    // What is inside is made when it is opened: most never are.
    const details = h(
      "details",
      { "data-kind": event.kind },
      h(
        "summary",
        {},
        h("time", {}, timeOfDay(event.at)),
        h("span", { class: `badge kind-${event.kind}` }, event.kindName),
        h("b", {}, event.name),
        h("span", { class: "event-summary" }, event.summary),
      ),
    );
    details.addEventListener("toggle", () => {
      if (details.children.length > 1) return;
      const json = JSON.stringify(event.data, null, 2);
      details.append(
        h(
          "p",
          { class: "hint" },
          h("code", {}, event.key),
          " ",
          button("Copy JSON", (click) => copy(click.target, json)),
        ),
        h("pre", { tabindex: "0", "aria-label": `JSON of ${event.name}` }, json),
      );
    });
    return h("li", {}, details);
  }
}

function matches(event, words) {
  if (!words.length) return true;
  event.text ??= `${event.name} ${event.key} ${event.summary} ${JSON.stringify(event.data)}`.toLowerCase();
  return words.every((word) => event.text.includes(word));
}

async function copy(pressed, text) {
  try {
    await navigator.clipboard.writeText(text);
    setText(pressed, "Copied");
  } catch {
    setText(pressed, "The browser does not allow it");
  }
}
