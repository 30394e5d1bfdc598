/** The live calls in lanes, with people and recent calls beside them. */

import { runAction } from "../call-actions.js";
import { h, setAttribute, throttle } from "../dom.js";
import { arrangeInLanes } from "../lanes.js";
import { freeSlots } from "../park-slots.js";
import { t } from "../strings.js";
import { notify } from "../toasts.js";
import { openAskSettings } from "./ask-settings.js";
import { openCallDialog } from "./call-dialog.js";
import { CallGrid } from "./call-grid.js";
import { CallToolbar } from "./call-toolbar.js";
import { openNoteDialog } from "./note-dialog.js";
import { PeoplePanel } from "./people-panel.js";
import { openPreferences } from "./preferences-dialog.js";
import { RecentPanel } from "./recent-panel.js";
import { followHeader } from "./sticky-header.js";
import { openTransfer } from "./transfer-popover.js";

/** Faster updates are unreadable. */
const REDRAW_INTERVAL_MS = 120;

const MAX_FREE_SLOTS_SHOWN = 8;

/** Keys and description of the shortcuts in the table. */
export const TABLE_SHORTCUTS = [
  ["↑ ↓", t("help.key.rows")],
  ["Home End", t("help.key.ends")],
  ["← →", t("help.key.buttons")],
  ["Enter", t("help.key.enter")],
  ["A", t("help.key.pickup")],
  ["H", t("help.key.hold")],
  ["P", t("help.key.park")],
  ["T", t("help.key.transfer")],
  ["J", t("help.key.complete")],
  ["X", t("help.key.swap")],
  ["B", t("help.key.cancel")],
  ["R", t("help.key.record")],
  ["N", t("help.key.note")],
  ["Delete", t("help.key.hangup")],
  ["C", t("help.key.copy")],
];

const PANEL_VIEWS = { people: PeoplePanel, recent: RecentPanel };

export class CallsView {
  /** `callId`: the id of a leg, whose call is opened as soon as the live calls are known. */
  constructor(app, callId) {
    this.callToOpen = callId;
    const { operator, calls, commands } = app;
    Object.assign(this, { operator, calls, commands });
    const { settings, states, history, notes } = operator;
    this.settings = settings;
    /** What the parts of the view share. */
    this.context = { ...pick(operator), commands, calls };
    this.redraw = throttle(() => this.draw(), REDRAW_INTERVAL_MS);
    this.toolbar = new CallToolbar(settings, {
      onFilter: () => this.drawInOrder(),
      firstRow: () => this.grid.firstRow,
      openPreferences: () => openPreferences(operator),
      openAskSettings: () => openAskSettings(operator),
    });
    this.grid = new CallGrid(this.context, {
      onAction: (call, name, control) => this.act(call, name, control),
      onSort: (column) => this.sortBy(column),
      onRelease: () => this.draw(),
      laneNote: (lane) => this.laneNote(lane),
    });
    this.aside = h("aside", { class: "side-panel", hidden: true });
    this.element = h(
      "div",
      { class: "cockpit" },
      h("h1", {}, t("calls.title")),
      this.toolbar.element,
      h("div", { class: "cockpit-body" }, this.grid.element, this.aside),
    );
    this.redrawStatus = () => this.grid.drawStatus();
    this.onSettings = () => this.applySettings();
    this.sources = [
      [calls, "change", this.redraw],
      [states, "update", this.redraw],
      [history, "change", this.redraw],
      // At once: what is blocked must not be pressed, and what is no longer blocked must react.
      [commands, "change", this.redrawStatus],
      [commands.consultations, "change", this.redrawStatus],
      [commands.recordings, "change", this.redrawStatus],
      [notes, "change", this.redrawStatus],
      [settings, "change", this.onSettings],
    ];
    for (const [source, type, listener] of this.sources) source.addEventListener(type, listener);
    this.stopFollowingHeader = followHeader();
    /** Whether the first call gets the focus as soon as there is one. */
    this.isFocusDue = false;
    this.applySettings();
  }

  dispose() {
    for (const [source, type, listener] of this.sources) source.removeEventListener(type, listener);
    this.stopFollowingHeader();
    this.grid.dispose();
    this.panel?.dispose();
  }

  tick() {
    this.grid.tick();
    this.panel?.tick?.();
    // The order may have been kept for the pointer.
    this.redraw();
  }

  // -- content

  draw() {
    const all = this.calls.calls;
    const names = ["lane", "direction", "search", "sort"];
    const filters = Object.fromEntries(names.map((name) => [name, this.settings.get(name)]));
    const { phone, states } = this.operator;
    if (filters.lane === "mine" && phone === null) filters.lane = "";
    const arranged = arrangeInLanes(all, filters, { phone, states });
    const lanes = arranged.lanes.filter(({ lane }) => {
      return (lane !== "mine" || phone !== null) && (!filters.lane || filters.lane === lane);
    });
    const empty = arranged.live ? t("calls.noMatch") : emptyText(this.calls);
    this.grid.draw(lanes, all, filters.sort, empty);
    this.toolbar.update(arranged, this.operator.history.unseen, this.calls.loaded);
    this.focusWhenDue();
    this.openWhenDue();
  }

  drawInOrder() {
    this.grid.release();
    this.draw();
  }

  applySettings() {
    const name = this.settings.panel;
    if (this.panelName !== name) {
      this.panel?.dispose();
      this.panelName = name;
      const Panel = PANEL_VIEWS[name];
      this.panel = Panel ? new Panel(this.operator, { onCallDropped: (...drop) => this.drop(...drop) }, this.grid) : null;
      this.aside.hidden = !Panel;
      this.aside.replaceChildren(...(this.panel ? [this.panel.element] : []));
      setAttribute(this.aside, "aria-label", Panel ? t(`panel.${name}`) : null);
    }
    this.draw();
    this.redrawStatus();
  }

  /** The free slots, at the head of the parked calls. */
  laneNote(lane) {
    const { slots } = this.operator;
    if (lane !== "parked" || !slots.length) return "";
    const free = freeSlots(this.calls.calls, slots);
    const list = free.slice(0, MAX_FREE_SLOTS_SHOWN).join(", ");
    const more = free.length > MAX_FREE_SLOTS_SHOWN ? "…" : "";
    return free.length ? t("lane.freeSlots", { slots: list + more }) : t("lane.noFreeSlot");
  }

  /** Focus the table as soon as there are calls, unless the user has moved the focus meanwhile. */
  focusResults() {
    this.isFocusDue = true;
    this.focusWhenDue();
  }

  focusWhenDue() {
    if (!this.isFocusDue) return;
    const row = this.grid.firstRow;
    if (!row?.isConnected) return;
    this.isFocusDue = false;
    if (document.activeElement.contains(row)) row.focus({ preventScroll: true });
  }

  /** Open the call that the URL names, once: it may have ended by now. */
  openWhenDue() {
    const { callToOpen: id, calls } = this;
    if (!id || !calls.loaded) return;
    this.callToOpen = undefined;
    // So that the page, loaded again, does not open it again.
    history.replaceState(null, "", "#/calls");
    const call = calls.calls.find((one) => !one.endedAt && one.allLegs.some((leg) => leg.call_id === id));
    if (call) openCallDialog(call, this.context);
    else notify(t("calls.hasEnded"));
  }

  sortBy(column) {
    const sort = this.settings.get("sort");
    // The longest time first, and names from A to Z.
    const descending = sort.column === column ? !sort.descending : column === "time";
    this.settings.set("sort", { column, descending });
    this.drawInOrder();
  }

  // -- actions

  act(call, name, control) {
    const { operator, context } = this;
    if (name === "transfer") return openTransfer(call, context, control);
    if (name === "note") return openNoteDialog(call, operator.notes);
    if (name === "more") return openCallDialog(call, context);
    return runAction(name, call, context);
  }

  /** Transfer a call that was dropped on a person. */
  drop(callId, person, isAttended) {
    const call = this.calls.calls.find(({ id }) => id === callId);
    if (!call || call.endedAt) {
      notify(t("calls.hasEnded"));
      return;
    }
    this.commands.transfer(call, person.number, isAttended ? "attended" : "blind", person.name);
  }
}

/** Return the text for an empty list: `none`, or why no calls are known. */
export function emptyText({ loaded, unavailableReason }, none = t("calls.none")) {
  if (unavailableReason) return t("calls.unavailable", { reason: unavailableReason });
  return loaded ? none : t("calls.loading");
}

const pick = ({ settings, states, notes, people, outgoing, history }) => ({
  settings,
  states,
  notes,
  people,
  outgoing,
  history,
});
