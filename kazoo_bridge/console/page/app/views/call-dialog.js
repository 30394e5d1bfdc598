/** The dialog of one call: its legs, and all commands. */

import { actionsOf, runAction } from "../call-actions.js";
import { DIRECTIONS, STATES, accountLeg, callName, legName, stateName } from "../calls.js";
import { formatDateTime, formatDuration, now } from "../clock.js";
import { openDialog } from "../dialogs.js";
import { button, ensureFocus, h, runOnce, setAttribute, setText, throttle, uniqueId } from "../dom.js";
import { t } from "../strings.js";

const REDRAW_INTERVAL_MS = 120;
const TICK_INTERVAL_MS = 1000;

const options = (group, names) => Object.fromEntries(names.map((name) => [name, t(`${group}.${name}`)]));

const TRANSFER_TYPES = options("dialog.transfer", ["blind", "attended"]);
const RECORDING_ACTIONS = options("dialog.recording", ["start", "stop", "mask", "unmask"]);
const INTERCEPT_TARGETS = options("dialog.intercept", ["number", "device", "user"]);

/** Open the dialog of a call; `context` has `calls`, `commands` and `settings`. */
export function openCallDialog(call, context) {
  const content = new CallDialogContent(call, context);
  const options = { wide: true, onClose: () => content.dispose() };
  content.dialog = openDialog(callName(call), content.element, options);
}

class CallDialogContent {
  constructor(call, context) {
    const { calls, commands } = context;
    Object.assign(this, { call, calls, commands, context });
    this.onChange = throttle(() => this.disposed || this.update(), REDRAW_INTERVAL_MS);
    this.element = h("div", {}, this.properties(), this.mainCommands(), this.commandForms());
    calls.addEventListener("change", this.onChange);
    this.onCommandsChange = () => this.updateBusy();
    commands.addEventListener("change", this.onCommandsChange);
    this.tickTimer = setInterval(() => this.updateDuration(), TICK_INTERVAL_MS);
    this.selectedLegId = accountLeg(call).call_id;
    this.update();
  }

  dispose() {
    this.disposed = true;
    this.calls.removeEventListener("change", this.onChange);
    this.commands.removeEventListener("change", this.onCommandsChange);
    clearInterval(this.tickTimer);
  }

  // -- elements

  properties() {
    this.state = h("span", { role: "status" });
    this.started = h("span", {});
    this.duration = h("span", {});
    this.direction = h("span", {});
    this.legs = h("fieldset", { class: "legs" });
    const property = (name, value) => [h("dt", {}, name), h("dd", {}, value)];
    return h(
      "div",
      {},
      h(
        "dl",
        { class: "properties" },
        property(t("common.state"), this.state),
        property(t("dialog.direction"), this.direction),
        property(t("dialog.started"), this.started),
        property(t("dialog.duration"), this.duration),
      ),
      this.legs,
    );
  }

  mainCommands() {
    const { commands } = this;
    this.hold = button("", () => runAction("hold", this.call, this.context));
    this.park = button("", () => runAction("park", this.call, this.context));
    this.break = button(t("dialog.break"), () => commands.stopPlayback(this.call, this.selectedLeg), {
      title: t("dialog.breakHint"),
    });
    this.hangup = button(t("action.hangup"), () => commands.hangup(this.call), { class: "danger" });
    return h("div", { class: "buttons start" }, this.hold, this.park, this.break, this.hangup);
  }

  commandForms() {
    const text = (attributes) =>
      h("input", { type: "text", autocomplete: "off", required: true, ...attributes });
    const select = (options) =>
      h(
        "select",
        {},
        Object.entries(options).map(([value, label]) => h("option", { value }, label)),
      );
    this.transferTarget = text({ maxlength: 256, placeholder: "2001" });
    this.transferType = select(TRANSFER_TYPES);
    this.interceptType = select(INTERCEPT_TARGETS);
    this.interceptId = text({ maxlength: 128, placeholder: "2002" });
    this.recordingAction = select(RECORDING_ACTIONS);
    this.sayText = text({ maxlength: 4096, placeholder: t("dialog.sayExample") });
    return h(
      "div",
      { class: "command-forms" },
      commandForm(
        t("transfer.blind"),
        [
          [t("transfer.target"), this.transferTarget],
          [t("dialog.type"), this.transferType],
        ],
        () => this.commands.transfer(this.call, this.transferTarget.value.trim(), this.transferType.value),
      ),
      commandForm(
        t("dialog.intercept"),
        [
          [t("dialog.targetType"), this.interceptType],
          [t("dialog.target"), this.interceptId],
        ],
        () =>
          this.commands.intercept(
            this.call,
            this.selectedLeg,
            this.interceptType.value,
            this.interceptId.value.trim(),
          ),
      ),
      commandForm(t("dialog.record"), [[t("dialog.recording"), this.recordingAction]], () =>
        this.commands.record(this.call, this.selectedLeg, this.recordingAction.value),
      ),
      commandForm(t("dialog.say"), [[t("dialog.text"), this.sayText]], () =>
        this.commands.say(this.call, this.selectedLeg, this.sayText.value),
      ),
    );
  }

  // -- content

  get selectedLeg() {
    return this.call.legs.find((leg) => leg.call_id === this.selectedLegId) ?? accountLeg(this.call);
  }

  update() {
    const current = this.calls.findCurrent(this.call);
    this.ended = current === undefined;
    if (current) this.call = current;
    const { state, direction, since } = this.call;
    // An ended call keeps the parties that it had last.
    this.dialog?.setTitle(callName(this.call));
    setText(this.started, formatDateTime(Number.isFinite(since) ? since : 0));
    setText(this.state, this.ended ? STATES.ended : stateName(this.call));
    setAttribute(this.state, "class", `badge ${this.ended ? "ended" : state}`);
    setText(this.direction, DIRECTIONS[direction]);
    const { hold, park } = actionsOf(this.call, { phone: this.context.settings.get("phone") });
    setText(this.hold, hold.label);
    setText(this.park, park.label);
    for (const control of this.element.querySelectorAll("button, input, select"))
      control.disabled = this.ended;
    this.hold.disabled = this.ended || !hold.isPossible;
    this.park.disabled = this.ended || !park.isPossible;
    this.updateBusy();
    // A parked call has no party that could talk to the target first.
    this.transferType.disabled = this.ended || state === "parked";
    ensureFocus();
    this.updateLegs();
    this.updateDuration();
  }

  /** Block the buttons while a command to the call is under way. */
  updateBusy() {
    const busy = this.commands.isBusy(this.call);
    for (const control of this.element.querySelectorAll("button")) {
      const isBlocked = control === this.hangup ? this.commands.isBusy(this.call, "hangup") : busy;
      setAttribute(control, "aria-disabled", isBlocked);
    }
  }

  updateLegs() {
    const legs = this.call.legs.map((leg) => [leg.call_id, legName(leg), leg.state]);
    const shown = JSON.stringify([this.ended, legs]);
    if (shown === this.shownLegs) return;
    this.shownLegs = shown;
    const name = uniqueId("leg");
    const hadFocus = this.legs.contains(document.activeElement);
    const options = this.call.legs.map((leg) => {
      const radio = h("input", {
        type: "radio",
        name,
        value: leg.call_id,
        checked: leg === this.selectedLeg,
        disabled: this.ended,
        onchange: () => (this.selectedLegId = leg.call_id),
      });
      const badge = h("span", { class: `badge ${leg.state}` }, STATES[leg.state]);
      return h(
        "label",
        { class: "leg" },
        radio,
        h("span", {}, legName(leg)),
        badge,
        h("code", {}, leg.call_id),
      );
    });
    this.legs.replaceChildren(h("legend", {}, t("dialog.leg")), ...options);
    if (hadFocus) this.legs.querySelector("input:checked")?.focus();
  }

  updateDuration() {
    if (this.ended) return;
    const { since } = this.call;
    setText(this.duration, Number.isFinite(since) ? formatDuration(now() - since) : "");
  }
}

function commandForm(title, fields, onSubmit) {
  const id = uniqueId("command");
  const submit = h("button", { type: "submit" }, title);
  return h(
    "form",
    {
      class: "command-form",
      "aria-labelledby": id,
      onsubmit: (event) => {
        event.preventDefault();
        runOnce(submit, onSubmit);
      },
    },
    h("h3", { id }, title),
    fields.map(([label, input]) => h("label", {}, h("span", {}, label), input)),
    submit,
  );
}
