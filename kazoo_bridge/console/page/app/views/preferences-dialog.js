/** What an operator sets up in this browser: the phone, alerts, thresholds, slots, and rooms. */

import { STATES, partyName } from "../calls.js";
import { openDialog } from "../dialogs.js";
import { button, h, setText } from "../dom.js";
import { personOptions } from "../person-options.js";
import { t } from "../strings.js";
import { isDiallable, toNumber } from "../suggestions.js";
import { MAX_THRESHOLD_S, TIMED_STATES, withThreshold } from "../thresholds.js";
import { Combobox } from "./combobox.js";

const MAX_OPTIONS = 5;

/** Open the preferences. They are kept at once, in this browser. */
export function openPreferences(operator) {
  const { settings, people } = operator;
  openDialog(
    t("preferences.title"),
    h(
      "div",
      { class: "preferences" },
      phoneSection(settings, people),
      alertSection(settings),
      thresholdSection(settings),
      placesSection(settings),
      h("p", { class: "hint" }, t("preferences.kept")),
    ),
    { wide: true },
  ).querySelector("input")?.focus();
}

const section = (title, ...content) => h("section", {}, h("h3", {}, title), content);

const field = (label, input, hint = "") =>
  h("label", { class: "field" }, h("span", {}, label), input, hint && h("small", {}, hint));

function phoneSection(settings, people) {
  const shown = h("p", { role: "status" });
  const forget = button(t("preferences.noPhone"), () => choose(null));
  const choose = (phone) => {
    settings.set("phone", phone);
    show();
  };
  const show = () => {
    const phone = settings.get("phone");
    setText(shown, phone ? t("phone.mine", { name: phone.name }) : t("preferences.phoneHint"));
    forget.hidden = phone === null;
    number.set("");
  };
  const number = new Combobox({
    label: t("preferences.phone"),
    placeholder: t("transfer.placeholder"),
    optionsOf: (text) => (text ? [...personOptions(people.list(), text, MAX_OPTIONS), ...deviceOptions(people, text)] : []),
    isValue: isDiallable,
    onSubmit: () => accept(),
  });
  const accept = () => {
    const { value, option } = number.choice;
    if (value) choose(toPhone(value, option));
  };
  const use = button(t("preferences.usePhone"), accept);
  const autoAnswer = checkbox(t("preferences.autoAnswer"), settings, "autoAnswer");
  show();
  return section(t("preferences.phoneTitle"), shown, number.element, h("div", { class: "buttons start" }, use, forget), autoAnswer);
}

/** Return the setting for what was chosen: a device, a user of the directory, or a number. */
function toPhone(value, option) {
  if (option?.deviceId) return { type: "device", id: option.deviceId, name: option.name };
  const { person } = option ?? {};
  if (person?.userId) return { type: "user", id: person.userId, name: partyName(person) };
  const number = toNumber(value);
  return { type: "number", id: number, name: person ? partyName(person) : number };
}

function deviceOptions(people, text) {
  const query = text.toLowerCase();
  const fitting = people.devices.filter(({ name }) => name.toLowerCase().includes(query));
  return fitting.slice(0, MAX_OPTIONS).map(({ id, name }) => ({
    key: `device ${id}`,
    name,
    detail: t("preferences.device"),
    value: id,
    deviceId: id,
  }));
}

function checkbox(label, settings, name, onchange = (checked) => settings.set(name, checked)) {
  const input = h("input", { type: "checkbox", checked: settings.get(name), onchange: () => onchange(input.checked, input) });
  return h("label", { class: "checkbox" }, input, label);
}

function alertSection(settings) {
  const problem = h("p", { class: "error-text", role: "status" });
  const scope = h(
    "select",
    { onchange: () => settings.set("alertFor", scope.value) },
    ["all", "mine"].map((value) => h("option", { value }, t(`preferences.alert.${value}`))),
  );
  scope.value = settings.get("alertFor");
  const notifications = checkbox(t("preferences.notifications"), settings, "notifications", async (checked, input) => {
    const isAllowed = checked && (await askPermission());
    input.checked = isAllowed;
    settings.set("notifications", isAllowed);
    setText(problem, checked && !isAllowed ? t("preferences.notAllowed") : "");
  });
  return section(
    t("preferences.alerts"),
    field(t("preferences.alertFor"), scope),
    checkbox(t("preferences.sound"), settings, "sound"),
    notifications,
    problem,
  );
}

/** Ask the user for the permission to show notifications; resolves to whether there is one. */
async function askPermission() {
  const { Notification } = globalThis;
  if (!Notification) return false;
  return Notification.permission === "granted" || (await Notification.requestPermission()) === "granted";
}

function thresholdSection(settings) {
  const inputs = [];
  const fill = () => {
    const thresholds = settings.get("thresholds");
    for (const { input, state, index } of inputs) input.value = thresholds[state][index];
  };
  const seconds = (state, index) => {
    const input = h("input", {
      type: "number",
      min: "0",
      max: String(MAX_THRESHOLD_S),
      "aria-label": t(index ? "preferences.lateFor" : "preferences.warningFor", { state: STATES[state] }),
      onchange: () => {
        settings.set("thresholds", withThreshold(settings.get("thresholds"), state, index, input.value));
        fill();
      },
    });
    inputs.push({ input, state, index });
    return input;
  };
  const rows = TIMED_STATES.map((state) => [h("span", {}, STATES[state]), seconds(state, 0), seconds(state, 1)]);
  fill();
  return section(
    t("preferences.thresholds"),
    h(
      "div",
      { class: "thresholds" },
      h("span", {}),
      h("small", {}, t("preferences.warning")),
      h("small", {}, t("preferences.late")),
      rows,
    ),
    h("small", {}, t("preferences.thresholdsHint")),
  );
}

function placesSection(settings) {
  const text = (name, placeholder) => {
    const input = h("input", {
      type: "text",
      maxlength: "1000",
      placeholder,
      value: settings.get(name),
      onchange: () => settings.set(name, input.value.trim()),
    });
    return input;
  };
  return section(
    t("preferences.places"),
    field(t("preferences.slots"), text("slots", "101-110")),
    field(t("preferences.conferences"), text("conferences", "4001, 4002")),
    field(t("preferences.voicemailPrefix"), text("voicemailPrefix", "**"), t("preferences.voicemailHint")),
  );
}
