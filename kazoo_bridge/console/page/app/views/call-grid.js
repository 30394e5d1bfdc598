/** The table of live calls, in lanes, with keyboard navigation. */

import { ACTION_KEYS } from "../call-actions.js";
import { KeyedList, button, h, isBlocked, setAttribute, setText } from "../dom.js";
import { StableLanes } from "../stable-lanes.js";
import { t } from "../strings.js";
import { ROW_COLUMNS, makeCallRow } from "./call-row.js";
import { copyNumber } from "./copy-number.js";
import { GridNavigation } from "./grid-navigation.js";

/** The type of the data of a dragged call. */
export const CALL_MEDIA_TYPE = "application/x-call-id";

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
    // Times are updated in visible rows only: a long table has hundreds of rows.
    this.visibleRows = new Set();
    this.visibilityObserver = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) {
        this.visibleRows[isIntersecting ? "add" : "delete"](target);
        if (isIntersecting) target.updateTime();
      }
    });
    this.navigation = new GridNavigation(this.body);
    this.order.watch(this.body, (target) => target.closest?.("tr")?.dataset.lane, callbacks.onRelease);
    this.body.addEventListener("click", (event) => this.onClick(event));
    this.body.addEventListener("keydown", (event) => this.onKeyDown(event));
    this.body.addEventListener("dragstart", (event) => this.onDragStart(event));
    this.body.addEventListener("focusin", (event) => this.setCurrent(event.target.closest("tr")));
    this.element = h("div", { class: "table-wrapper" }, table, this.empty);
  }

  dispose() {
    this.visibilityObserver.disconnect();
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
    if (row?.call) this.currentRow = row;
  }

  /** Let time pass in the rows that are in sight. */
  tick() {
    for (const row of this.visibleRows) row.updateTime();
  }

  /** Put the calls in order the next time, even below the pointer. */
  release() {
    this.order.release();
  }

  /** Show lanes, `{lane, calls}`; `known` are all calls, and `sort` is the order that they are in. */
  draw(lanes, known, sort, emptyText) {
    const shown = this.order.arrange(lanes, known);
    const items = [];
    let count = 0;
    for (const { lane, calls } of shown) {
      const due = lanes.find((one) => one.lane === lane).calls;
      const waiting = due.filter(({ id, endedAt }) => !endedAt && !this.rows.elements.has(id)).length;
      items.push({ id: `lane ${lane}`, lane, count: due.filter(({ endedAt }) => !endedAt).length, waiting: calls === due ? 0 : waiting });
      for (const call of calls) items.push({ id: call.id, lane, call });
      count += calls.length;
    }
    this.rows.show(count ? items : [], ({ id }) => id);
    this.navigation.onRowsChanged();
    const direction = sort.descending ? "descending" : "ascending";
    ROW_COLUMNS.forEach(([, column], index) => {
      setAttribute(this.headers[index], "aria-sort", column !== null && column === sort.column ? direction : null);
    });
    setText(this.empty, count ? "" : emptyText);
  }

  /** Show commands, recordings, and notes on all rows. */
  drawStatus() {
    for (const row of this.navigation.rows) row.updateStatus();
  }

  makeRow(item) {
    return item.call ? this.makeCallRow(item) : this.makeLaneRow(item);
  }

  makeCallRow(item) {
    const row = makeCallRow(item.call, this.operator);
    const { update } = row;
    row.update = ({ call, lane }) => {
      setAttribute(row, "data-lane", lane);
      update(call);
    };
    row.onRemoved = () => {
      this.visibilityObserver.unobserve(row);
      this.visibleRows.delete(row);
    };
    this.visibilityObserver.observe(row);
    return row;
  }

  makeLaneRow({ lane }) {
    const [count, note] = [h("span", { class: "lane-count" }), h("small", {})];
    const head = h("th", { role: "rowheader", colspan: String(ROW_COLUMNS.length) }, t(`lane.${lane}`), " ", count, " ", note);
    const row = h("tr", { class: "lane", role: "row", "data-lane": lane }, head);
    row.update = (item) => {
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
    const { call } = event.target.closest("tr");
    if (!call || call.endedAt) {
      event.preventDefault();
      return;
    }
    event.dataTransfer.effectAllowed = "move";
    event.dataTransfer.setData(CALL_MEDIA_TYPE, call.id);
  }
}
