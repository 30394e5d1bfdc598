/** The live calls: overview, search, and a table with keyboard navigation. */

import { DIRECTIONS, NO_PARTY, STATES, callName, partyName, searchText } from "../calls.js";
import { formatDuration, formatTime, now } from "../clock.js";
import {
  KeyedList,
  button,
  h,
  isBlocked,
  setAttribute,
  setText,
  showStatus,
  throttle,
  toResults,
} from "../dom.js";
import { fitsSearch, formatNumber } from "../numbers.js";
import { StableOrder } from "../stable-order.js";
import { openCallDialog } from "./call-dialog.js";
import { copyNumber, setNumber } from "./copy-number.js";
import { rateChart, showRate } from "./events.js";
import { GridNavigation } from "./grid-navigation.js";
import { resultChart } from "./webhooks.js";

/** Title and sort key of each column. */
const COLUMNS = [
  ["From", (call) => partyName(call.caller).toLowerCase()],
  ["To", (call) => partyName(call.callee).toLowerCase()],
  ["Direction", (call) => call.direction],
  ["State", (call) => STATES[call.state]],
  ["Since", (call) => call.since],
];

const DEFAULT_SORT_COLUMN = 4;

/** Faster updates are unreadable. */
const REDRAW_INTERVAL_MS = 120;

/** Key, `event.key` in lower case, action, and description of the shortcuts for a row's buttons. */
const ACTION_KEYS = [
  ["H", "h", "hold", "hold or resume"],
  ["P", "p", "park", "park or retrieve"],
  ["T", "t", "transfer", "transfer"],
  ["Delete", "delete", "hangup", "hang up"],
];

/** Keys and description of the shortcuts in the table. */
export const TABLE_SHORTCUTS = [
  ["↑ ↓", "the previous and the next call"],
  ["Home End", "the first and the last call"],
  ["← →", "the buttons of a call"],
  ["Enter", "details"],
  ...ACTION_KEYS.map(([label, , , description]) => [label, description]),
  ["C", "copy the number of the other party"],
];

/** State and label of each tile of the overview. */
const TILES = [
  ["all", "live"],
  ["ringing", "ringing"],
  ["answered", "talking"],
  ["held", "on hold"],
  ["parked", "parked"],
];

export class CallsView {
  constructor(app) {
    this.calls = app.calls;
    this.eventLog = app.eventLog;
    this.webhooks = app.webhooks;
    this.commands = app.commands;
    this.sort = { column: DEFAULT_SORT_COLUMN, descending: false };
    this.redraw = throttle(() => this.draw(), REDRAW_INTERVAL_MS);
    this.redrawCharts = () => this.drawCharts();
    this.order = new StableOrder(
      (call) => call.id,
      (call) => ({ ...call, state: "ended", endedAt: call.endedAt ?? now() }),
    );
    this.element = h("div", {}, h("h1", {}, "Live calls"), this.overview(), this.toolbar(), this.table());
    this.calls.addEventListener("change", this.redraw);
    // At once: what is blocked must not be pressed, and what is no longer blocked must react.
    this.redrawBusy = () => this.drawBusy();
    this.commands.addEventListener("change", this.redrawBusy);
    this.webhooks.addEventListener("change", this.redrawCharts);
    /** Whether the first call gets the focus as soon as there is one. */
    this.isFocusDue = false;
    this.draw();
    this.drawCharts();
  }

  dispose() {
    this.calls.removeEventListener("change", this.redraw);
    this.commands.removeEventListener("change", this.redrawBusy);
    this.webhooks.removeEventListener("change", this.redrawCharts);
    this.visibilityObserver.disconnect();
  }

  tick() {
    for (const row of this.visibleRows) row.updateDuration();
    this.drawCharts();
    // The order may have been kept for the pointer.
    this.draw();
  }

  // -- elements

  overview() {
    this.tileCounts = Object.fromEntries(TILES.map(([state]) => [state, h("strong", {}, "0")]));
    const tiles = TILES.map(([state, label]) =>
      h("div", { class: `tile ${state}` }, this.tileCounts[state], h("span", {}, label)),
    );
    this.rate = rateChart();
    this.results = resultChart();
    return h(
      "section",
      { class: "overview", "aria-label": "Overview" },
      h("div", { class: "tiles" }, tiles),
      this.rate.element,
      this.results.element,
    );
  }

  toolbar() {
    const draw = () => {
      this.order.release();
      this.draw();
    };
    const select = (label, options) =>
      h(
        "select",
        { "aria-label": label, onchange: draw },
        h("option", { value: "" }, label),
        Object.entries(options).map(([value, name]) => h("option", { value }, name)),
      );
    const { ended: _, ...liveStates } = STATES;
    this.search = h("input", {
      type: "search",
      placeholder: "Name or number",
      "aria-label": "Search calls by name or number",
      oninput: draw,
      onkeydown: (event) => toResults(event, () => this.body.rows[0]),
    });
    this.stateFilter = select("Any state", liveStates);
    this.directionFilter = select("Any direction", DIRECTIONS);
    this.count = h("span", { class: "hint", role: "status" });
    return h(
      "div",
      { class: "toolbar", role: "search" },
      this.search,
      this.stateFilter,
      this.directionFilter,
      this.count,
    );
  }

  table() {
    const header = (content) => h("th", { scope: "col", role: "columnheader" }, content);
    this.headers = COLUMNS.map(([title], index) =>
      header(button(title, () => this.sortBy(index), { class: "sort" })),
    );
    this.body = h("tbody", { role: "rowgroup" });
    this.rows = new KeyedList(this.body, (call) => this.row(call));
    this.empty = h("p", { class: "empty", role: "status" });
    const table = h(
      "table",
      { class: "calls", role: "grid", "aria-label": "Live calls; arrow keys move, Enter opens a call" },
      h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, this.headers, header("Actions"))),
      this.body,
    );
    // Durations are updated in visible rows only: a long table has hundreds of rows.
    this.visibleRows = new Set();
    this.visibilityObserver = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) {
        this.visibleRows[isIntersecting ? "add" : "delete"](target);
        if (isIntersecting) target.updateDuration();
      }
    });
    this.navigation = new GridNavigation(this.body);
    this.order.watch(this.body, () => this.draw());
    this.body.addEventListener("click", (event) => this.onClick(event));
    this.body.addEventListener("keydown", (event) => this.onKeyDown(event));
    return h("div", { class: "table-wrapper" }, table, this.empty);
  }

  row(call) {
    const cells = {
      callerName: h("b", {}),
      callerNumber: h("small", {}),
      calleeName: h("b", {}),
      calleeNumber: h("small", {}),
      direction: h("span", {}),
      state: h("span", {}),
      status: h("small", { class: "status" }),
      duration: h("span", {}),
      since: h("small", {}),
    };
    // Only the grid is a tab stop; arrow keys move between the buttons.
    const action = (label, name, attributes) =>
      button(label, null, { "data-action": name, tabindex: "-1", ...attributes });
    const actions = {
      hold: action("Hold", "hold"),
      park: action("Park", "park"),
      transfer: action("Transfer…", "transfer"),
      hangup: action("Hang up", "hangup", { class: "danger" }),
      more: action("More…", "more"),
    };
    const cell = (label, attributes, ...content) =>
      h("td", { role: "gridcell", "data-label": label, ...attributes }, content);
    const row = h(
      "tr",
      { role: "row", tabindex: "-1", "data-call-id": call.id },
      cell("From", {}, cells.callerName, " ", cells.callerNumber),
      cell("To", {}, cells.calleeName, " ", cells.calleeNumber),
      cell("Direction", {}, cells.direction),
      cell("State", {}, cells.state, " ", cells.status),
      cell("Since", { class: "since" }, cells.duration, " ", cells.since),
      cell("Actions", { class: "actions" }, Object.values(actions)),
    );
    row.updateDuration = () => {
      const { since, endedAt } = row.call;
      setText(cells.duration, Number.isFinite(since) ? formatDuration((endedAt ?? now()) - since) : "");
    };
    row.updateBusy = () => {
      updateBusy(actions, row.call, this.commands);
      showStatus(cells.status, this.commands.statusOf(row.call));
    };
    row.update = (current) => {
      if (row.call === current) return;
      row.call = current;
      updateRow(row, cells, actions, current);
      row.updateBusy();
      row.updateDuration();
    };
    row.onRemoved = () => {
      this.visibilityObserver.unobserve(row);
      this.visibleRows.delete(row);
    };
    row.update(call);
    this.visibilityObserver.observe(row);
    return row;
  }

  // -- content

  draw() {
    const all = this.calls.calls;
    const live = all.filter((call) => call.state !== "ended");
    for (const [state, count] of Object.entries(this.tileCounts)) {
      setText(count, state === "all" ? live.length : live.filter((call) => call.state === state).length);
    }
    const filtered = all.filter((call) => this.matchesFilters(call));
    const [, sortKey] = COLUMNS[this.sort.column];
    const order = this.sort.descending ? -1 : 1;
    filtered.sort(
      (left, right) =>
        compare(sortKey(left), sortKey(right)) * order ||
        compare(left.since, right.since) ||
        compare(left.id, right.id),
    );
    const shownCalls = this.order.arrange(filtered, all);
    this.rows.show(shownCalls, (call) => call.id);
    this.navigation.onRowsChanged();
    const direction = this.sort.descending ? "descending" : "ascending";
    this.headers.forEach((header, index) => {
      setAttribute(header, "aria-sort", index === this.sort.column ? direction : null);
    });
    const shown = filtered.filter((call) => call.state !== "ended").length;
    setText(this.count, shown === live.length ? "" : `${shown} of ${live.length} calls`);
    const noMatch = live.length ? "No matching calls." : emptyText(this.calls);
    setText(this.empty, shownCalls.length ? "" : noMatch);
    this.focusWhenDue();
  }

  /** Focus the table as soon as there are calls, unless the user has moved the focus meanwhile. */
  focusResults() {
    this.isFocusDue = true;
    this.focusWhenDue();
  }

  focusWhenDue() {
    const [row] = this.body.rows;
    if (!this.isFocusDue || !row?.isConnected) return;
    this.isFocusDue = false;
    if (document.activeElement.contains(row)) row.focus({ preventScroll: true });
  }

  drawBusy() {
    for (const row of this.rows.elements.values()) row.updateBusy();
  }

  drawCharts() {
    showRate(this.rate, this.eventLog);
    const [successes, failures] = [this.webhooks.history("successes"), this.webhooks.history("failures")];
    const [succeeded, failed] = [sum(successes), sum(failures)];
    const share = Math.round((succeeded / (succeeded + failed)) * 100);
    this.results.show([successes, failures], succeeded + failed ? `${share} %` : "none yet");
  }

  matchesFilters(call) {
    if (this.stateFilter.value && call.state !== this.stateFilter.value) return false;
    if (this.directionFilter.value && call.direction !== this.directionFilter.value) return false;
    return fitsSearch(this.search.value, searchText(call));
  }

  sortBy(column) {
    this.sort = { column, descending: this.sort.column === column && !this.sort.descending };
    this.order.release();
    this.draw();
  }

  // -- actions

  onClick(event) {
    const row = event.target.closest("tr");
    const control = event.target.closest("button");
    const action = control?.dataset.action;
    if (row === null || row.call.state === "ended" || (control && isBlocked(control))) return;
    if (action) this.runAction(row.call, action);
    else if (event.target.dataset.number) copyNumber(event.target);
    // A click that ends a text selection must not open the dialog.
    else if (getSelection().isCollapsed) openCallDialog(row.call, this.calls, this.commands);
  }

  onKeyDown(event) {
    const row = event.target.closest("tr");
    if (event.ctrlKey || event.metaKey || event.altKey || row === null || row.call.state === "ended") return;
    // A held key acts once.
    if (event.repeat) return;
    if (event.key.toLowerCase() === "c") {
      const numbers = [...row.querySelectorAll("[data-number]")];
      // Of an outbound call the other party is the one that was called.
      copyNumber(row.call.direction === "inbound" ? numbers[0] : numbers.at(-1));
      return;
    }
    const action = event.key === "Enter" && event.target === row ? "more" : actionForKey(event.key);
    if (!action) return;
    event.preventDefault();
    const control = row.querySelector(`[data-action=${action}]`);
    if (!control.disabled && !isBlocked(control)) this.runAction(row.call, action);
  }

  runAction(call, action) {
    const { commands } = this;
    if (action === "hold") return call.state === "held" ? commands.resume(call) : commands.hold(call);
    if (action === "park") return call.state === "parked" ? commands.unpark(call) : commands.park(call);
    if (action === "hangup") return commands.hangup(call);
    return openCallDialog(call, this.calls, commands, action === "transfer" ? "transfer" : null);
  }
}

function updateRow(row, cells, actions, call) {
  const { state } = call;
  // Some browsers take focus from a button at the moment when it is disabled.
  const focused = row.contains(document.activeElement) ? document.activeElement : null;
  for (const role of ["caller", "callee"]) {
    const { name, number } = call[role];
    const shown = formatNumber(number);
    setText(cells[`${role}Name`], name || shown || (call[role] === NO_PARTY ? "–" : "unknown"));
    setText(cells[`${role}Number`], name ? shown : "");
    setNumber(cells[`${role}Name`], name ? null : number);
    setNumber(cells[`${role}Number`], name ? number : null);
  }
  setText(cells.direction, DIRECTIONS[call.direction]);
  setText(cells.state, state === "parked" && call.slot ? `Parked in ${call.slot}` : STATES[state]);
  setAttribute(cells.state, "class", `badge ${state}`);
  setText(cells.since, Number.isFinite(call.since) ? formatTime(call.since) : "");
  setAttribute(row, "data-state", state);
  setAttribute(row, "aria-label", `${callName(call)}, ${STATES[state]}`);
  setText(actions.hold, state === "held" ? "Resume" : "Hold");
  setText(actions.park, state === "parked" ? "Retrieve" : "Park");
  const ended = state === "ended";
  for (const action of Object.values(actions)) action.disabled = ended;
  actions.hold.disabled = ended || !["answered", "held"].includes(state);
  actions.park.disabled = ended || state === "ringing";
  // A disabled button keeps or loses focus, but receives no key events, so focus moves to the row.
  if (focused?.disabled) row.focus({ preventScroll: true });
}

/** Block the buttons of a call while a command to it is under way. */
function updateBusy(actions, call, commands) {
  const busy = call.state !== "ended" && commands.isBusy(call);
  for (const name of ["hold", "park", "transfer"]) setAttribute(actions[name], "aria-disabled", busy);
  setAttribute(actions.hangup, "aria-disabled", busy && commands.isBusy(call, "hangup"));
}

/** Return the text for an empty list: `none`, or why no calls are known. */
export function emptyText({ loaded, unavailableReason }, none = "No live calls.") {
  if (unavailableReason) return `Live calls are unavailable: ${unavailableReason}.`;
  return loaded ? none : "Waiting for the live calls from the switch…";
}

const actionForKey = (key) => ACTION_KEYS.find(([, value]) => value === key.toLowerCase())?.[2];
const sum = (values) => values.reduce((total, value) => total + value, 0);
const compare = (left, right) => (left < right ? -1 : left > right ? 1 : 0);
