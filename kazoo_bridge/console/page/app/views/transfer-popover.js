/** The transfer of a call, at its row: to a number, a person, a voicemail box, a park slot, or a conference. */

import { callName, legName } from "../calls.js";
import { openDialog } from "../dialogs.js";
import { button, h, runOnce, setText } from "../dom.js";
import { freeSlots, parseRanges } from "../park-slots.js";
import { choiceName, personOptions } from "../person-options.js";
import { t } from "../strings.js";
import { isDiallable, toNumber } from "../suggestions.js";
import { Combobox } from "./combobox.js";

const MAX_OPTIONS = 7;

/** Space between the popover and the edge of the window, in pixels. */
const MARGIN = 12;

/**
 * Open the transfer of a call. `context` has `calls`, `commands`, `people` and `settings`; `anchor` is the
 * element to open it at. Enter transfers at once, Ctrl+Enter after a consultation.
 */
export function openTransfer(call, context, anchor = null, preset = null) {
  const popover = new TransferPopover(call, context);
  popover.open(anchor);
  if (preset) popover.target.set(preset.name, preset.number);
}

class TransferPopover {
  constructor(call, { calls, commands, people, settings }) {
    Object.assign(this, { call, calls, commands, people, settings });
    // A parked call has no party that could talk first, and a ringing one none that could be consulted about.
    this.canConsult = ["answered", "held"].includes(call.state) && call.legs.length > 1;
    this.target = new Combobox({
      label: t("transfer.target"),
      placeholder: t("transfer.placeholder"),
      optionsOf: (text) => personOptions(people.list(), text, MAX_OPTIONS),
      isValue: isDiallable,
      onInput: () => this.update(),
      onSubmit: (_, event) => this.submit(event.ctrlKey || event.metaKey ? "attended" : "blind"),
    });
    this.error = h("p", { class: "error-text", role: "alert" });
    this.blind = h("button", { type: "submit", class: "primary" }, t("transfer.blind"));
    this.attended = button(t("transfer.attended"), () => this.submit("attended"));
    this.voicemail = button(t("transfer.voicemail"), () => this.toVoicemail());
    this.element = h(
      "form",
      {
        class: "transfer",
        onsubmit: (event) => {
          event.preventDefault();
          runOnce(this.blind, () => this.submit("blind"));
        },
      },
      this.target.element,
      this.error,
      h(
        "div",
        { class: "buttons start" },
        this.blind,
        this.canConsult ? this.attended : null,
        this.voicemail,
      ),
      this.others(),
      h("p", { class: "hint" }, this.canConsult ? t("transfer.keys") : t("transfer.keysBlind")),
    );
    this.update();
  }

  /** The transfers that need no number: to a park slot, and to a conference room. */
  others() {
    const { calls, settings, call } = this;
    const select = (label, values, first) =>
      h(
        "select",
        { "aria-label": label },
        first === null ? null : h("option", { value: "" }, first),
        values.map((value) => h("option", { value }, value)),
      );
    const row = [];
    if (!["parked", "ringing"].includes(call.state)) {
      const slot = select(t("transfer.slot"), freeSlots(calls.calls, parseRanges(settings.get("slots"))), t("transfer.anySlot"));
      row.push(h("div", { class: "field-group" }, slot, button(t("action.park"), () => this.run((current) => this.commands.park(current, slot.value)))));
    }
    const rooms = parseRanges(settings.get("conferences"));
    if (rooms.length) {
      const room = select(t("transfer.conference"), rooms, null);
      const send = () => this.run((current) => this.commands.transfer(current, room.value, "blind"));
      row.push(h("div", { class: "field-group" }, room, button(t("transfer.toConference"), send)));
    }
    return row.length ? h("div", { class: "transfer-others" }, row) : null;
  }

  open(anchor) {
    const title = t("transfer.title", { party: legName(this.commands.otherLeg(this.call)) });
    const follow = () => this.follow();
    this.calls.addEventListener("change", follow);
    this.people.addEventListener("change", follow);
    const onClose = () => {
      this.calls.removeEventListener("change", follow);
      this.people.removeEventListener("change", follow);
    };
    this.dialog = openDialog(title, this.element, { className: "popover", onClose });
    if (anchor?.isConnected) place(this.dialog, anchor.getBoundingClientRect());
    this.target.input.focus();
  }

  /** Close when the call has ended: it cannot be transferred any more. */
  follow() {
    const current = this.calls.findCurrent(this.call);
    if (current) {
      this.call = current;
      return;
    }
    setText(this.error, t("transfer.ended", { call: callName(this.call) }));
    for (const control of this.element.querySelectorAll("button, select")) control.disabled = true;
  }

  update() {
    const { value } = this.target.choice;
    const isReady = isDiallable(value);
    this.voicemail.disabled = !isReady;
    if (isReady) setText(this.error, "");
  }

  submit(type) {
    const { choice } = this.target;
    if (!choice.value) {
      setText(this.error, t("transfer.missing"));
      this.target.input.focus();
      return undefined;
    }
    const name = choiceName(choice);
    const kind = this.canConsult ? type : "blind";
    return this.run((call) => this.commands.transfer(call, toNumber(choice.value), kind, name));
  }

  toVoicemail() {
    const { choice } = this.target;
    const number = this.settings.get("voicemailPrefix") + toNumber(choice.value);
    const name = t("transfer.boxOf", { name: choiceName(choice) });
    return this.run((call) => this.commands.transfer(call, number, "blind", name));
  }

  /** Close, and give a command to the call as it is now. */
  run(command) {
    const call = this.calls.findCurrent(this.call);
    if (!call) return undefined;
    this.dialog.close();
    return command(call);
  }
}

/** Put a dialog below an element, or above it where there is no space below. */
function place(dialog, { left, top, bottom }) {
  const { innerWidth, innerHeight } = window;
  const { offsetWidth: width, offsetHeight: height } = dialog;
  // On a phone it stays where dialogs are.
  if (innerWidth < width * 1.5) return;
  const x = Math.max(MARGIN, Math.min(left, innerWidth - width - MARGIN));
  const fitsBelow = bottom + height + MARGIN < innerHeight;
  const y = fitsBelow ? bottom + 4 : Math.max(MARGIN, top - height - 4);
  Object.assign(dialog.style, { margin: "0", left: `${x}px`, top: `${y}px` });
}
