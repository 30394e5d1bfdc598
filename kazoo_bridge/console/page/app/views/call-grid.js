/** The table of live calls, in lanes, with keyboard navigation. */

import { ACTION_KEYS } from "../call-actions.js";
import { KeyedList, button, h, isBlocked, setAttribute, setText } from "../dom.js";
import { MAX_WHOLE_LIST, rangeInSight, windowOf } from "../row-window.js";
import { StableLanes } from "../stable-lanes.js";
import { t } from "../strings.js";
import { ROW_COLUMNS, makeCallRow } from "./call-row.js";
import { copyNumber } from "./copy-number.js";
import { GridNavigation } from "./grid-navigation.js";

/** The type of the data of a dragged call. */
export const CALL_MEDIA_TYPE = "application/x-call-id";

/** The height of a row until one can be measured. */
const ASSUMED_ROW_HEIGHT_PX = 54;

/** So many rows before and after the current one, heads of lanes included, have elements. */
const KEPT_NEIGHBOURS = 6;

export class CallGrid {
  /**
   * `callbacks` has `onAction(call, name)`, `onSort(column)`, `onRelease()` when the pointer leaves the table,
   * and `laneNote(lane)`, a text for the head of a lane.
   */
  constructor(operator, callbacks) {
    Object.assign(this, { operator, callbacks });
    this.order = new StableLanes();
    this.headers = ROW_COLUMNS.map(([title, column]) => {
      const attributes = { scope: "col", role: "columnheader" };
      if (column === null) return h("th", attributes, title);
      return h("th", attributes, button(title, () => callbacks.onSort(column), { class: "sort" }));
    });
    this.body = h("tbody", { role: "rowgroup" });
    this.rows = new KeyedList(this.body, (item) => this.makeRow(item));
    this.empty = h("p", { class: "empty", role: "status" });
    const table = h(
      "table",
      { class: "calls", role: "grid", "aria-label": t("calls.table") },
      h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, this.headers)),
      this.body,
    );
    this.table = table;
    /** The lanes and calls in the table, also those without a row; see `windowOf`. */
    this.items = [];
    this.range = [0, 0];
    this.rowHeight = ASSUMED_ROW_HEIGHT_PX;
    this.onScroll = () => (this.scrollFrame ??= requestAnimationFrame(() => this.followScroll()));
    // In the phase of capture: not the document scrolls, but an element.
    document.addEventListener("scroll", this.onScroll, { capture: true, passive: true });
    window.addEventListener("resize", this.onScroll);
    this.navigation = new GridNavigation(this.body);
    this.order.watch(this.body, (target) => target.closest?.("tr")?.dataset.lane, callbacks.onRelease);
    this.body.addEventListener("click", (event) => this.onClick(event));
    this.body.addEventListener("keydown", (event) => this.onKeyDown(event));
    this.body.addEventListener("dragstart", (event) => this.onDragStart(event));
    this.body.addEventListener("focusin", (event) => this.setCurrent(event.target.closest("tr")));
    this.element = h("div", { class: "table-wrapper" }, table, this.empty);
  }

  dispose() {
    cancelAnimationFrame(this.scrollFrame);
    document.removeEventListener("scroll", this.onScroll, { capture: true });
    window.removeEventListener("resize", this.onScroll);
  }

  /** The call whose row had the focus last, if it is still live. */
  get currentCall() {
    const call = this.currentRow?.isConnected ? this.currentRow.call : undefined;
    return call && !call.endedAt ? call : undefined;
  }

  /** The first row of a call. */
  get firstRow() {
    return this.navigation.rows[0];
  }

  setCurrent(row) {
    if (!row?.call || row === this.currentRow) return;
    this.currentRow = row;
    // The keys move to the rows beside it.
    if (this.isLong) this.drawWindow();
  }

  /** Let time pass. */
  tick() {
    if (this.isLong) this.measureRows();
    for (const row of this.rows.elements.values()) row.updateTime?.();
  }

  /** Put the calls in order the next time, even below the pointer. */
  release() {
    this.order.release();
  }

  /** Show lanes, `{lane, calls}`; `known` are all calls, and `sort` is the order that they are in. */
  draw(lanes, known, sort, emptyText) {
    const shown = this.order.arrange(lanes, known);
    const items = [];
    const placed = new Set(shown.flatMap(({ calls }) => calls.map(({ id }) => id)));
    let count = 0;
    for (const { lane, calls } of shown) {
      const due = lanes.find((one) => one.lane === lane).calls;
      const live = due.filter(({ endedAt }) => !endedAt);
      const waiting = live.filter(({ id }) => !placed.has(id)).length;
      items.push({ id: `lane ${lane}`, lane, count: live.length, waiting });
      for (const call of calls) items.push({ id: call.id, lane, call });
      count += calls.length;
    }
    this.items = count ? items : [];
    this.findRange();
    this.drawWindow();
    const direction = sort.descending ? "descending" : "ascending";
    ROW_COLUMNS.forEach(([, column], index) => {
      setAttribute(this.headers[index], "aria-sort", column !== null && column === sort.column ? direction : null);
    });
    setText(this.empty, count ? "" : emptyText);
  }

  // -- rows

  get isLong() {
    return this.items.length > MAX_WHOLE_LIST;
  }

  /** Find out which rows are in sight. Reads the layout, so it comes before changes of the document. */
  findRange() {
    if (this.isLong) this.range = rangeInSight(this.body.getBoundingClientRect().top, window.innerHeight, this.rowHeight);
  }

  /** Measure the height of rows, which depends on the width of the page, and on fonts. */
  measureRows() {
    const heights = [...this.rows.elements.values()].filter(({ call }) => call).map((row) => row.offsetHeight);
    // A row is higher while it shows a status.
    const usual = Math.min(...heights);
    // Rows have no height while the view is not in the document.
    if (Number.isFinite(usual) && usual > 0) this.rowHeight = usual;
  }

  followScroll() {
    this.scrollFrame = undefined;
    if (!this.isLong) return;
    const before = this.range;
    this.findRange();
    if (before.join() !== this.range.join()) this.drawWindow();
  }

  /** Show the rows in sight, and those that the keys reach from the current row. */
  drawWindow() {
    const { items } = this;
    const first = items.findIndex(({ call }) => call);
    const current = this.isLong ? items.findIndex(({ id }) => id === this.currentRow?.call.id) : -1;
    const isNear = (index) => current >= 0 && Math.abs(index - current) <= KEPT_NEIGHBOURS;
    // A head sticks to the top while the calls of its lane are in sight.
    const isKept = ({ call }, index) => !call || index === first || index === items.length - 1 || isNear(index);
    this.rows.show(windowOf(items, this.range, isKept), ({ id }) => id);
    setAttribute(this.table, "aria-rowcount", this.isLong ? items.length + 1 : null);
    this.navigation.onRowsChanged();
  }

  /** Show commands, recordings, and notes on all rows. */
  drawStatus() {
    for (const row of this.navigation.rows) row.updateStatus();
  }

  makeRow(item) {
    if (item.gap) return makeGap(this);
    return item.call ? this.makeCallRow(item) : this.makeLaneRow(item);
  }

  makeCallRow(item) {
    const row = makeCallRow(item.call, this.operator);
    const { update } = row;
    row.update = ({ call, lane, index }) => {
      setAttribute(row, "data-lane", lane);
      setRowIndex(row, index);
      update(call);
    };
    return row;
  }

  makeLaneRow({ lane }) {
    const [count, note] = [h("span", { class: "lane-count" }), h("small", {})];
    const head = h("th", { role: "rowheader", colspan: String(ROW_COLUMNS.length) }, t(`lane.${lane}`), " ", count, " ", note);
    const row = h("tr", { class: "lane", role: "row", "data-lane": lane }, head);
    row.update = (item) => {
      setRowIndex(row, item.index);
      setText(count, item.count);
      const waiting = item.waiting ? t("lane.waiting", { count: item.waiting }) : "";
      setText(note, [waiting, this.callbacks.laneNote(lane)].filter(Boolean).join(" · "));
    };
    return row;
  }

  // -- actions

  onClick(event) {
    const row = event.target.closest("tr");
    const control = event.target.closest("button");
    const action = control?.dataset.action;
    if (!row?.call || row.call.endedAt || (control && isBlocked(control))) return;
    this.setCurrent(row);
    if (action) this.callbacks.onAction(row.call, action, control);
    else if (event.target.dataset.number) copyNumber(event.target);
    // A click that ends a text selection must not open the dialog.
    else if (getSelection().isCollapsed) this.callbacks.onAction(row.call, "more", row);
  }

  onKeyDown(event) {
    const row = event.target.closest("tr");
    if (event.ctrlKey || event.metaKey || event.altKey || !row?.call || row.call.endedAt) return;
    // A held key acts once.
    if (event.repeat) return;
    const key = event.key.toLowerCase();
    if (key === "c") {
      const numbers = [...row.querySelectorAll("[data-number]")];
      // Of an outbound call the other party is the one that was called.
      copyNumber(row.call.direction === "inbound" ? numbers[0] : numbers.at(-1));
      return;
    }
    const action = event.key === "Enter" && event.target === row ? "more" : ACTION_KEYS[key];
    if (!action) return;
    event.preventDefault();
    const control = row.querySelector(`[data-action=${action}]`);
    if (control && (control.disabled || control.hidden || isBlocked(control))) return;
    this.callbacks.onAction(row.call, action, control ?? row);
  }

  onDragStart(event) {
    const row = event.target.closest("tr");
    const { call } = row;
    // A dragged row keeps its element while the user scrolls.
    this.setCurrent(row);
    if (!call || call.endedAt) {
      event.preventDefault();
      return;
    }
    // Browsers take Ctrl for a copy, and drop nothing where only a move is allowed.
    event.dataTransfer.effectAllowed = "copyMove";
    event.dataTransfer.setData(CALL_MEDIA_TYPE, call.id);
  }
}

/** Tell assistive technologies which row of the table this is; undefined when the table has all its rows. */
function setRowIndex(row, index) {
  // The head of the table is the first row.
  setAttribute(row, "aria-rowindex", index === undefined ? null : index + 2);
}

/** Make what stands for rows that are out of sight. */
function makeGap(grid) {
  const row = h("tr", { class: "gap", "aria-hidden": "true" });
  row.update = ({ gap }) => {
    const height = `${Math.round(gap * grid.rowHeight)}px`;
    if (row.style.height !== height) row.style.height = height;
  };
  return row;
}
