/** Who waits in which slot. */

import { partyName } from "../calls.js";
import { duration, now } from "../clock.js";
import { Commands } from "../commands.js";
import { KeyedList, button, freshId, h, setText, throttled } from "../dom.js";
import { openCall } from "./call.js";
import { noCalls } from "./calls.js";

export class ParkingView {
  constructor(console_) {
    this.calls = console_.calls;
    this.commands = new Commands(console_.socket, this.calls);
    const list = h("ul", { class: "slots", "aria-label": "Park slots" });
    this.slots = new KeyedList(list, (call) => this.slot(call));
    this.empty = h("p", { class: "empty", role: "status" });
    this.element = h("div", {}, h("h1", {}, "Parking"), list, this.empty);
    this.redraw = throttled(() => this.draw(), 120);
    this.calls.addEventListener("change", this.redraw);
    this.draw();
  }

  dispose() {
    this.calls.removeEventListener("change", this.redraw);
  }

  tick() {
    for (const element of this.slots.elements.values()) element.age();
  }

  draw() {
    const parked = this.calls.calls.filter((call) => call.state === "parked");
    parked.sort((one, other) =>
      (one.slot ?? "").localeCompare(other.slot ?? "", undefined, { numeric: true }),
    );
    this.slots.show(parked, (call) => call.id);
    setText(this.empty, parked.length ? "" : noCalls(this.calls, "Nobody is parked."));
  }

  slot(call) {
    const cells = { slot: h("strong", {}), who: h("span", {}), age: h("small", {}) };
    // Each slot has the same buttons: who cannot see which one they stand in is told who it is.
    const who = freshId("slot");
    cells.who.id = who;
    const named = (label, act, attributes) => button(label, act, { "aria-describedby": who, ...attributes });
    const element = h(
      "li",
      { class: "card slot" },
      h("div", { class: "slot-number" }, h("small", {}, "Slot "), cells.slot),
      h("div", { class: "slot-who" }, cells.who, cells.age),
      h(
        "div",
        { class: "buttons" },
        named("Retrieve", () => this.commands.unpark(element.call)),
        named("Transfer…", () => openCall(element.call, this.calls, this.commands, "transfer")),
        named("Hang up", () => this.commands.hangup(element.call), { class: "danger" }),
      ),
    );
    element.age = () =>
      setText(
        cells.age,
        Number.isFinite(element.call.since) ? `on the line for ${duration(now() - element.call.since)}` : "",
      );
    element.update = (one) => {
      element.call = one;
      const leg = one.legs.find((each) => each.state === "parked") ?? one.legs[0];
      setText(cells.slot, one.slot ?? "?");
      setText(cells.who, partyName(leg.direction === "outbound" ? one.called : one.caller));
      element.age();
    };
    return element;
  }
}
