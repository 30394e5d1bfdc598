/** One call: its legs, and every command that can be given to it. */

import { DIRECTIONS, STATES, callName, legName, ownLeg } from "../calls.js";
import { duration, moment, now } from "../clock.js";
import { openDialog } from "../dialogs.js";
import { button, focusView, freshId, h, setAttribute, setText, throttled } from "../dom.js";

const RECORDING = { start: "Start", stop: "Stop", mask: "Mask", unmask: "Unmask" };
const TARGETS = { number: "Number or extension", device: "Device id", user: "User id" };

/** Open a call; `focusOn` "transfer" begins there. */
export function openCall(call, calls, commands, focusOn = null) {
  const sheet = new CallSheet(call, calls, commands);
  openDialog(callName(call), sheet.element, { wide: true, onClose: () => sheet.dispose() });
  if (focusOn === "transfer") sheet.target.focus();
}

class CallSheet {
  constructor(call, calls, commands) {
    Object.assign(this, { call, calls, commands });
    this.follow = throttled(() => this.disposed || this.changed(), 120);
    this.element = h("div", { class: "call-sheet" }, this.facts(), this.quick(), this.forms());
    calls.addEventListener("change", this.follow);
    this.ticking = setInterval(() => this.age(), 1000);
    this.chosen = ownLeg(call).call_id;
    this.changed();
  }

  dispose() {
    this.disposed = true;
    this.calls.removeEventListener("change", this.follow);
    clearInterval(this.ticking);
  }

  // -- what it is made of

  facts() {
    this.state = h("span", { role: "status" });
    this.lasts = h("span", {});
    this.direction = h("span", {});
    this.legs = h("fieldset", { class: "legs" });
    const fact = (name, value) => [h("dt", {}, name), h("dd", {}, value)];
    return h(
      "div",
      {},
      h(
        "dl",
        { class: "facts" },
        fact("State", this.state),
        fact("Direction", this.direction),
        fact("Began", moment(Number.isFinite(this.call.since) ? this.call.since : 0)),
        fact("Lasts", this.lasts),
      ),
      this.legs,
    );
  }

  quick() {
    this.hold = button("Hold", () =>
      this.call.state === "held" ? this.commands.resume(this.call) : this.commands.hold(this.call),
    );
    this.park = button("Park", () =>
      this.call.state === "parked" ? this.commands.unpark(this.call) : this.commands.park(this.call),
    );
    this.breakOff = button("Break", () => this.commands.send(this.call, this.leg, "break"), {
      title: "Ends what is being played to the leg",
    });
    this.hangup = button("Hang up", () => this.commands.hangup(this.call), { class: "danger" });
    return h("div", { class: "buttons start" }, this.hold, this.park, this.breakOff, this.hangup);
  }

  forms() {
    const text = (attributes) =>
      h("input", { type: "text", autocomplete: "off", required: true, ...attributes });
    const select = (choices, attributes = {}) =>
      h(
        "select",
        attributes,
        Object.entries(choices).map(([value, name]) => h("option", { value }, name)),
      );
    this.target = text({ maxlength: 256, placeholder: "2001" });
    this.kind = select({ blind: "Blind: at once", attended: "Attended: speak first" });
    this.interceptKind = select(TARGETS);
    this.interceptId = text({ maxlength: 128, placeholder: "2002" });
    this.recording = select(RECORDING);
    this.words = text({ maxlength: 4096, placeholder: "One moment, please" });
    return h(
      "div",
      { class: "forms" },
      command(
        "Transfer",
        [
          ["Extension or number", this.target],
          ["Kind", this.kind],
        ],
        () => this.commands.transfer(this.call, this.target.value.trim(), this.kind.value),
      ),
      command(
        "Intercept",
        [
          ["By", this.interceptKind],
          ["Which", this.interceptId],
        ],
        () =>
          this.send("intercept", {
            target_type: this.interceptKind.value,
            target_id: this.interceptId.value.trim(),
          }),
      ),
      command("Record", [["Recording", this.recording]], () =>
        this.send("record_call", { action: this.recording.value }),
      ),
      command("Say", [["Text", this.words]], () => this.send("say", { text: this.words.value })),
    );
  }

  send(name, data) {
    return this.commands.send(this.call, this.leg, name, data);
  }

  // -- what it shows

  get leg() {
    return this.call.legs.find((leg) => leg.call_id === this.chosen) ?? ownLeg(this.call);
  }

  changed() {
    const found = this.calls.successorOf(this.call);
    this.over = found === undefined;
    if (found) this.call = found;
    setText(
      this.state,
      this.over ? "Ended" : this.call.slot ? `Parked in ${this.call.slot}` : STATES[this.call.state],
    );
    setAttribute(this.state, "class", `badge ${this.over ? "ended" : this.call.state}`);
    setText(this.direction, DIRECTIONS[this.call.direction]);
    setText(this.hold, this.call.state === "held" ? "Resume" : "Hold");
    setText(this.park, this.call.state === "parked" ? "Retrieve" : "Park");
    for (const control of this.element.querySelectorAll("button, input, select"))
      control.disabled = this.over;
    this.hold.disabled = this.over || !["answered", "held"].includes(this.call.state);
    this.park.disabled = this.over || this.call.state === "ringing";
    this.kind.disabled = this.over || this.call.state === "parked"; // there is nobody to speak to the target first
    focusView();
    this.showLegs();
    this.age();
  }

  showLegs() {
    const shape = JSON.stringify([
      this.over,
      this.call.legs.map((leg) => [leg.call_id, legName(leg), leg.state]),
    ]);
    if (shape === this.shape) return;
    this.shape = shape;
    const name = freshId("leg");
    const hadFocus = this.legs.contains(document.activeElement);
    const options = this.call.legs.map((leg) =>
      h(
        "label",
        { class: "leg" },
        h("input", {
          type: "radio",
          name,
          value: leg.call_id,
          checked: leg === this.leg,
          disabled: this.over,
          onchange: () => (this.chosen = leg.call_id),
        }),
        h("span", {}, legName(leg)),
        h("span", { class: `badge ${leg.state}` }, STATES[leg.state]),
        h("code", {}, leg.call_id),
      ),
    );
    this.legs.replaceChildren(h("legend", {}, "Intercept, record, say and break act on"), ...options);
    if (hadFocus) this.legs.querySelector("input:checked")?.focus();
  }

  age() {
    if (!this.over)
      setText(this.lasts, Number.isFinite(this.call.since) ? duration(now() - this.call.since) : "");
  }
}

function command(title, fields, run) {
  const id = freshId("command");
  const submit = h("button", { type: "submit" }, title);
  return h(
    "form",
    {
      class: "command",
      "aria-labelledby": id,
      onsubmit: (event) => {
        event.preventDefault();
        run();
      },
    },
    h("h3", { id }, title),
    fields.map(([label, input]) => h("label", {}, h("span", {}, label), input)),
    submit,
  );
}
