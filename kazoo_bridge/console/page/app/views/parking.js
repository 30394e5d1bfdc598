/** The parked calls, by park slot. */

import { legName, parkedLeg } from "../calls.js";
import { formatDuration, now } from "../clock.js";
import { KeyedList, button, h, setAttribute, setText, showStatus, throttle, uniqueId } from "../dom.js";
import { openCallDialog } from "./call-dialog.js";
import { emptyText } from "./calls.js";

const REDRAW_INTERVAL_MS = 120;

export class ParkingView {
  constructor(app) {
    this.calls = app.calls;
    this.commands = app.commands;
    const list = h("ul", { class: "slots", "aria-label": "Park slots" });
    this.slots = new KeyedList(list, () => this.slot());
    this.empty = h("p", { class: "empty", role: "status" });
    this.element = h("div", {}, h("h1", {}, "Parking"), list, this.empty);
    this.redraw = throttle(() => this.draw(), REDRAW_INTERVAL_MS);
    this.calls.addEventListener("change", this.redraw);
    this.redrawBusy = () => this.drawBusy();
    this.commands.addEventListener("change", this.redrawBusy);
    this.draw();
  }

  dispose() {
    this.calls.removeEventListener("change", this.redraw);
    this.commands.removeEventListener("change", this.redrawBusy);
  }

  tick() {
    for (const element of this.slots.elements.values()) element.updateDuration();
  }

  drawBusy() {
    for (const element of this.slots.elements.values()) element.updateBusy();
  }

  draw() {
    const parked = this.calls.calls.filter((call) => call.state === "parked");
    parked.sort((left, right) =>
      (left.slot ?? "").localeCompare(right.slot ?? "", undefined, { numeric: true }),
    );
    this.slots.show(parked, (call) => call.id);
    setText(this.empty, parked.length ? "" : emptyText(this.calls, "No parked calls."));
  }

  slot() {
    // All slots have the same buttons; the description lets screen readers tell them apart.
    const descriptionId = uniqueId("slot");
    const cells = {
      slot: h("strong", {}),
      party: h("span", { id: descriptionId }),
      duration: h("small", {}),
      status: h("small", { class: "status" }),
    };
    const slotButton = (label, onclick, attributes) =>
      button(label, onclick, { "aria-describedby": descriptionId, ...attributes });
    const buttons = [
      slotButton("Retrieve", () => this.commands.unpark(element.call)),
      slotButton("Transfer…", () => openCallDialog(element.call, this.calls, this.commands, "transfer")),
      slotButton("Hang up", () => this.commands.hangup(element.call), { class: "danger" }),
    ];
    const element = h(
      "li",
      { class: "card slot" },
      h("div", { class: "slot-number" }, h("small", {}, "Slot "), cells.slot),
      h("div", { class: "slot-party" }, cells.party, cells.duration, cells.status),
      h("div", { class: "buttons" }, buttons),
    );
    element.updateDuration = () => {
      const { since } = element.call;
      setText(cells.duration, Number.isFinite(since) ? `call duration ${formatDuration(now() - since)}` : "");
    };
    element.updateBusy = () => {
      const [retrieve, transfer, hangup] = buttons;
      for (const control of [retrieve, transfer])
        setAttribute(control, "aria-disabled", this.commands.isBusy(element.call));
      setAttribute(hangup, "aria-disabled", this.commands.isBusy(element.call, "hangup"));
      showStatus(cells.status, this.commands.statusOf(element.call));
    };
    element.update = (call) => {
      element.call = call;
      setText(cells.slot, call.slot ?? "?");
      setText(cells.party, legName(parkedLeg(call)));
      element.updateBusy();
      element.updateDuration();
    };
    return element;
  }
}
