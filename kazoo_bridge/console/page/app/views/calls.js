/** The live calls, in a table that can be walked through with the arrow keys. */

import { DIRECTIONS, STATES, callName, partyName } from "../calls.js";
import { BarChart } from "../charts.js";
import { duration, now, timeOfDay } from "../clock.js";
import { Commands } from "../commands.js";
import { KeyedList, button, h, setAttribute, setText, throttled } from "../dom.js";
import { SECONDS } from "../events.js";
import { EVERY, LOOKS } from "../webhooks.js";
import { openCall } from "./call.js";
import { GridKeys } from "./grid-keys.js";

const COLUMNS = [
  ["caller", "From", (call) => partyName(call.caller).toLowerCase()],
  ["called", "To", (call) => partyName(call.called).toLowerCase()],
  ["direction", "Direction", (call) => call.direction],
  ["state", "State", (call) => STATES[call.state]],
  ["since", "Since", (call) => call.since],
];

/** Milliseconds between two changes of the table: faster than that nobody reads. */
const REDRAW = 120;

export class CallsView {
  constructor(console_) {
    this.calls = console_.calls;
    this.events = console_.events;
    this.hooks = console_.hooks;
    this.commands = new Commands(console_.socket, this.calls);
    this.sort = { column: 4, down: false };
    this.redraw = throttled(() => this.draw(), REDRAW);
    this.drawCharts = () => this.chart();
    this.element = h("div", {}, h("h1", {}, "Live calls"), this.summary(), this.toolbar(), this.table());
    this.calls.addEventListener("change", this.redraw);
    this.hooks.addEventListener("change", this.drawCharts);
    this.draw();
    this.chart();
  }

  dispose() {
    this.calls.removeEventListener("change", this.redraw);
    this.hooks.removeEventListener("change", this.drawCharts);
    this.watchSight.disconnect();
  }

  /** Time goes on. */
  tick() {
    for (const row of this.inSight) row.age();
    this.chart();
  }

  // -- what it is made of

  summary() {
    this.tiles = Object.fromEntries(
      ["all", "ringing", "answered", "held", "parked"].map((state) => [state, h("strong", {}, "0")]),
    );
    const tile = (state, label) =>
      h("div", { class: `tile ${state}` }, this.tiles[state], h("span", {}, label));
    this.rate = new BarChart(
      "Events per second",
      [{ name: "events", className: "bar-events" }],
      `${SECONDS / 60} minutes`,
    );
    this.outcome = new BarChart(
      "Webhook attempts",
      [
        { name: "succeeded", className: "bar-good" },
        { name: "failed", className: "bar-bad" },
      ],
      `${(LOOKS * EVERY) / 60} minutes`,
    );
    return h(
      "section",
      { class: "summary", "aria-label": "At a glance" },
      h(
        "div",
        { class: "tiles" },
        tile("all", "live"),
        tile("ringing", "ringing"),
        tile("answered", "talking"),
        tile("held", "on hold"),
        tile("parked", "parked"),
      ),
      this.rate.element,
      this.outcome.element,
    );
  }

  toolbar() {
    const changed = () => this.draw();
    const select = (label, choices) =>
      h(
        "select",
        { "aria-label": label, onchange: changed },
        h("option", { value: "" }, label),
        Object.entries(choices).map(([value, name]) => h("option", { value }, name)),
      );
    const { ended, ...states } = STATES;
    this.search = h("input", {
      type: "search",
      placeholder: "Name or number",
      "aria-label": "Search calls by name or number",
      oninput: changed,
    });
    this.state = select("Any state", states);
    this.direction = select("Any direction", DIRECTIONS);
    this.count = h("span", { class: "hint", role: "status" });
    return h(
      "div",
      { class: "toolbar", role: "search" },
      this.search,
      this.state,
      this.direction,
      this.count,
    );
  }

  table() {
    const heads = COLUMNS.map(([, title], at) => {
      const head = h(
        "th",
        { scope: "col", role: "columnheader" },
        button(title, () => this.sortBy(at), { class: "sort" }),
      );
      return head;
    });
    this.heads = heads;
    this.body = h("tbody", { role: "rowgroup" });
    this.rows = new KeyedList(this.body, (call) => this.row(call));
    this.empty = h("p", { class: "empty", role: "status" });
    const table = h(
      "table",
      { class: "calls", role: "grid", "aria-label": "Live calls; arrow keys move, Enter opens a call" },
      h(
        "thead",
        { role: "rowgroup" },
        h("tr", { role: "row" }, heads, h("th", { scope: "col", role: "columnheader" }, "Actions")),
      ),
      this.body,
    );
    // Hundreds of durations a second are work for nothing where nobody sees them.
    this.inSight = new Set();
    this.watchSight = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) {
        this.inSight[isIntersecting ? "add" : "delete"](target);
        if (isIntersecting) target.age();
      }
    });
    this.keys = new GridKeys(this.body);
    this.body.addEventListener("click", (event) => this.pressed(event));
    this.body.addEventListener("keydown", (event) => this.shortcut(event));
    this.help = h(
      "p",
      { class: "hint keys" },
      "In the table: ",
      [
        ["↑ ↓", "calls"],
        ["← →", "actions"],
        ["Enter", "details"],
        ["H", "hold or resume"],
        ["P", "park or retrieve"],
        ["T", "transfer"],
        ["Delete", "hang up"],
      ].map(([key, what]) => [h("kbd", {}, key), ` ${what} `]),
    );
    return h("div", { class: "table-box" }, table, this.empty, this.help);
  }

  row(call) {
    const cells = {
      callerName: h("b", {}),
      callerNumber: h("small", {}),
      calledName: h("b", {}),
      calledNumber: h("small", {}),
      direction: h("span", {}),
      state: h("span", {}),
      age: h("span", {}),
      since: h("small", {}),
    };
    const actions = {
      hold: button("Hold", null, { "data-action": "hold", tabindex: "-1" }),
      park: button("Park", null, { "data-action": "park", tabindex: "-1" }),
      transfer: button("Transfer…", null, { "data-action": "transfer", tabindex: "-1" }),
      hangup: button("Hang up", null, { "data-action": "hangup", tabindex: "-1", class: "danger" }),
      more: button("More…", null, { "data-action": "more", tabindex: "-1" }),
    };
    const cell = (label, ...content) => h("td", { role: "gridcell", "data-label": label }, content);
    const row = h(
      "tr",
      { role: "row", tabindex: "-1", "data-call-id": call.id },
      cell("From", cells.callerName, " ", cells.callerNumber),
      cell("To", cells.calledName, " ", cells.calledNumber),
      cell("Direction", cells.direction),
      cell("State", cells.state),
      h("td", { role: "gridcell", "data-label": "Since", class: "since" }, cells.age, " ", cells.since),
      h("td", { role: "gridcell", "data-label": "Actions", class: "actions" }, Object.values(actions)),
    );
    row.call = call;
    row.age = () =>
      setText(
        cells.age,
        Number.isFinite(row.call.since) ? duration((row.call.endedAt ?? now()) - row.call.since) : "",
      );
    row.update = (one) => {
      if (row.shown === one) return;
      row.call = row.shown = one;
      for (const side of ["caller", "called"]) {
        setText(cells[`${side}Name`], one[side].name || one[side].number || "unknown");
        setText(cells[`${side}Number`], one[side].name ? one[side].number : "");
      }
      setText(cells.direction, DIRECTIONS[one.direction]);
      setText(cells.state, one.state === "parked" && one.slot ? `Parked in ${one.slot}` : STATES[one.state]);
      setAttribute(cells.state, "class", `badge ${one.state}`);
      setText(cells.since, Number.isFinite(one.since) ? timeOfDay(one.since) : "");
      setAttribute(row, "data-state", one.state);
      setAttribute(row, "aria-label", `${callName(one)}, ${STATES[one.state]}`);
      setText(actions.hold, one.state === "held" ? "Resume" : "Hold");
      setText(actions.park, one.state === "parked" ? "Retrieve" : "Park");
      const over = one.state === "ended";
      for (const action of Object.values(actions)) action.disabled = over;
      actions.hold.disabled = over || !["answered", "held"].includes(one.state);
      actions.park.disabled = over || one.state === "ringing";
      // What can be pressed no longer cannot have the focus either.
      if (document.activeElement?.disabled && row.contains(document.activeElement))
        row.focus({ preventScroll: true });
      row.age();
    };
    row.gone = () => {
      this.watchSight.unobserve(row);
      this.inSight.delete(row);
    };
    this.watchSight.observe(row);
    return row;
  }

  // -- what it shows

  draw() {
    const live = this.calls.calls.filter((call) => call.state !== "ended");
    setText(this.tiles.all, live.length);
    for (const state of ["ringing", "answered", "held", "parked"])
      setText(this.tiles[state], live.filter((call) => call.state === state).length);
    const wanted = this.calls.calls.filter((call) => this.accepts(call));
    const [, , valueOf] = COLUMNS[this.sort.column];
    const order = this.sort.down ? -1 : 1;
    wanted.sort(
      (one, other) =>
        compare(valueOf(one), valueOf(other)) * order ||
        compare(one.since, other.since) ||
        compare(one.id, other.id),
    );
    this.rows.show(wanted, (call) => call.id);
    this.keys.changed();
    this.heads.forEach((head, at) =>
      setAttribute(
        head,
        "aria-sort",
        at === this.sort.column ? (this.sort.down ? "descending" : "ascending") : null,
      ),
    );
    const shown = wanted.filter((call) => call.state !== "ended").length;
    setText(this.count, shown === live.length ? "" : `${shown} of ${live.length} calls`);
    setText(this.empty, wanted.length ? "" : live.length ? "No call fits the search." : noCalls(this.calls));
    this.help.hidden = !wanted.length;
  }

  chart() {
    const counts = this.events.perSecond();
    this.rate.show([counts], `${average(counts.slice(-10))} now`);
    const [good, bad] = [this.hooks.history("successes"), this.hooks.history("failures")];
    const [lately, failed] = [sum(good), sum(bad)];
    this.outcome.show(
      [good, bad],
      lately + failed ? `${Math.round((lately / (lately + failed)) * 100)} %` : "none yet",
    );
  }

  accepts(call) {
    if (this.state.value && call.state !== this.state.value) return false;
    if (this.direction.value && call.direction !== this.direction.value) return false;
    const words = this.search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const text = `${partyName(call.caller)} ${partyName(call.called)}`.toLowerCase();
    return words.every((word) => text.includes(word));
  }

  sortBy(column) {
    this.sort = { column, down: this.sort.column === column && !this.sort.down };
    this.draw();
  }

  // -- what can be done

  pressed(event) {
    const row = event.target.closest("tr");
    const action = event.target.closest("button")?.dataset.action;
    if (row === null || row.call.state === "ended") return;
    if (action) this.act(row.call, action);
    else if (getSelection().isCollapsed) openCall(row.call, this.calls, this.commands);
  }

  shortcut(event) {
    const row = event.target.closest("tr");
    if (event.ctrlKey || event.metaKey || event.altKey || row === null || row.call.state === "ended") return;
    const action =
      event.key === "Enter" && event.target === row
        ? "more"
        : { h: "hold", p: "park", t: "transfer", delete: "hangup" }[event.key.toLowerCase()];
    if (!action) return;
    event.preventDefault();
    if (!row.querySelector(`[data-action=${action}]`).disabled) this.act(row.call, action);
  }

  act(call, action) {
    if (action === "hold")
      return call.state === "held" ? this.commands.resume(call) : this.commands.hold(call);
    if (action === "park")
      return call.state === "parked" ? this.commands.unpark(call) : this.commands.park(call);
    if (action === "hangup") return this.commands.hangup(call);
    return openCall(call, this.calls, this.commands, action === "transfer" ? "transfer" : null);
  }
}

/** Why no call is shown. */
export function noCalls({ known, refusal }, none = "There are no calls just now.") {
  if (refusal) return `Live calls cannot be shown: ${refusal}.`;
  return known ? none : "Waiting for the switch to tell which calls there are…";
}

const sum = (values) => values.reduce((total, value) => total + value, 0);
const average = (values) => (sum(values) / values.length).toFixed(1);
const compare = (one, other) => (one < other ? -1 : one > other ? 1 : 0);
