/** The park slots: who is parked in them since when and by whom, and which are free. */

import { actionsOf, runAction } from "../call-actions.js";
import { legName, parkedLeg } from "../calls.js";
import { formatDuration, now } from "../clock.js";
import { KeyedList, button, h, setAttribute, setText, showStatus, throttle, uniqueId } from "../dom.js";
import { slotsOf } from "../park-slots.js";
import { t } from "../strings.js";
import { urgency } from "../thresholds.js";
import { emptyText } from "./calls.js";
import { openPreferences } from "./preferences-dialog.js";
import { openTransfer } from "./transfer-popover.js";

const REDRAW_INTERVAL_MS = 120;

export class ParkingView {
  constructor(app) {
    const { calls, commands, operator } = app;
    Object.assign(this, { calls, commands, operator });
    const { settings, people } = operator;
    this.context = { calls, commands, settings, people };
    const list = h("ul", { class: "slots", "aria-label": t("parking.slots") });
    this.slots = new KeyedList(list, ({ call }) => (call ? this.slot() : freeSlot()));
    this.empty = h("p", { class: "empty", role: "status" });
    const setUp = button(t("parking.setUp"), () => openPreferences(operator));
    this.element = h(
      "div",
      {},
      h("div", { class: "view-header" }, h("h1", {}, t("parking.title")), setUp),
      list,
      this.empty,
    );
    this.redraw = throttle(() => this.draw(), REDRAW_INTERVAL_MS);
    this.redrawBusy = () => this.forEach("updateBusy");
    this.sources = [
      [calls, this.redraw],
      [settings, this.redraw],
      [commands, this.redrawBusy],
    ];
    for (const [source, listener] of this.sources) source.addEventListener("change", listener);
    this.draw();
  }

  dispose() {
    for (const [source, listener] of this.sources) source.removeEventListener("change", listener);
  }

  tick() {
    this.forEach("updateTime");
  }

  forEach(method) {
    for (const element of this.slots.elements.values()) element[method]?.();
  }

  draw() {
    const slots = slotsOf(this.calls.calls, this.operator.slots);
    this.slots.show(slots, ({ slot, call }) => call?.id ?? `free ${slot}`);
    setText(this.empty, slots.length ? "" : emptyText(this.calls, t("parking.none")));
  }

  slot() {
    const { commands, operator } = this;
    // All slots have the same buttons; the description lets screen readers tell them apart.
    const descriptionId = uniqueId("slot");
    const cells = {
      slot: h("strong", {}),
      party: h("span", { id: descriptionId }),
      time: h("span", {}),
      parkedBy: h("small", {}),
      status: h("small", { class: "status" }),
    };
    const slotButton = (label, onclick, attributes) =>
      button(label, onclick, { "aria-describedby": descriptionId, ...attributes });
    const retrieve = slotButton("", () => runAction("park", element.call, this.context));
    const transfer = slotButton(t("action.transfer"), () => openTransfer(element.call, this.context, element));
    const hangup = slotButton(t("action.hangup"), () => commands.hangup(element.call), { class: "danger" });
    const element = h(
      "li",
      { class: "card slot" },
      h("div", { class: "slot-number" }, h("small", {}, `${t("parking.slot")} `), cells.slot),
      h("div", { class: "slot-party" }, cells.party, h("span", {}, cells.time, " ", cells.parkedBy), cells.status),
      h("div", { class: "buttons" }, retrieve, transfer, hangup),
    );
    element.updateTime = () => {
      const { since, isExact, parkedBy } = operator.states.of(element.call);
      const seconds = now() - since;
      setText(cells.time, `${isExact ? "" : "≥ "}${formatDuration(seconds)}`);
      setAttribute(cells.time, "class", `time ${urgency("parked", seconds, operator.settings.get("thresholds"))}`.trim());
      setText(cells.parkedBy, parkedBy && t("parked.by", { party: parkedBy }));
    };
    element.updateBusy = () => {
      setText(retrieve, actionsOf(element.call, { phone: operator.phone }).park.label);
      for (const control of [retrieve, transfer]) setAttribute(control, "aria-disabled", commands.isBusy(element.call));
      setAttribute(hangup, "aria-disabled", commands.isBusy(element.call, "hangup"));
      showStatus(cells.status, commands.statusOf(element.call));
    };
    element.update = ({ slot, call }) => {
      element.call = call;
      setText(cells.slot, slot ?? "?");
      setText(cells.party, legName(parkedLeg(call)));
      element.updateBusy();
      element.updateTime();
    };
    return element;
  }
}

function freeSlot() {
  const number = h("strong", {});
  const element = h(
    "li",
    { class: "card slot free" },
    h("div", { class: "slot-number" }, h("small", {}, `${t("parking.slot")} `), number),
    h("div", { class: "slot-party" }, t("parking.free")),
  );
  element.update = ({ slot }) => setText(number, slot);
  return element;
}
