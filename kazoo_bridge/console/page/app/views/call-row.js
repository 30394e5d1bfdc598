/** A row of the table of live calls. */

import { ACTION_KEYS, actionsOf } from "../call-actions.js";
import { DIRECTIONS, DIRECTION_SIGNS, NO_PARTY, STATES, callName, legName, stateName } from "../calls.js";
import { formatDuration, formatTime, now } from "../clock.js";
import { button, h, setAttribute, setText, showStatus } from "../dom.js";
import { formatNumber } from "../numbers.js";
import { t } from "../strings.js";
import { urgency } from "../thresholds.js";
import { setNumber } from "./copy-number.js";

const KEY_OF_ACTION = Object.fromEntries(Object.entries(ACTION_KEYS).map(([key, name]) => [name, key]));

/** The columns: title and, where calls are sorted by it, the name in `COLUMNS`. */
export const ROW_COLUMNS = [
  [t("column.from"), "from"],
  [t("column.to"), "to"],
  [t("column.state"), "state"],
  [t("column.time"), "time"],
  [t("column.actions"), null],
];

/** Make the row of a call. It has `update(call)`, `updateTime()`, `updateStatus()`, and the call as `call`. */
export function makeCallRow(call, operator) {
  const cells = makeCells();
  const actions = makeActions(call, operator);
  const cell = (column, attributes, ...content) =>
    h("td", { role: "gridcell", "data-label": ROW_COLUMNS[column][0], ...attributes }, content);
  const row = h(
    "tr",
    { role: "row", tabindex: "-1", draggable: "true", "data-call-id": call.id },
    cell(0, {}, cells.callerName, " ", cells.callerNumber),
    cell(1, {}, cells.calleeName, " ", cells.calleeNumber),
    cell(2, {}, cells.state, cells.recording, cells.direction, cells.status),
    cell(3, { class: "since" }, cells.time, " ", cells.duration),
    cell(4, { class: "actions" }, Object.values(actions)),
  );
  row.updateTime = () => updateTime(row, cells, operator);
  row.updateStatus = () => updateStatus(row, cells, actions, operator);
  row.update = (current) => {
    if (row.call === current) return;
    row.call = current;
    updateCall(row, cells, current);
    row.updateStatus();
    row.updateTime();
  };
  row.update(call);
  return row;
}

function makeCells() {
  return {
    callerName: h("b", {}),
    callerNumber: h("small", {}),
    calleeName: h("b", {}),
    calleeNumber: h("small", {}),
    direction: h("small", { class: "direction", role: "img" }),
    state: h("span", {}),
    recording: h("span", { class: "recording", hidden: true }),
    status: h("small", { class: "status" }),
    time: h("span", { class: "time" }),
    duration: h("small", {}),
  };
}

/** Make the buttons of all actions. Only the grid is a tab stop; arrow keys move between the buttons. */
function makeActions(call, { settings }) {
  const names = Object.keys(actionsOf(call, { phone: settings.get("phone") }));
  const make = (name) => {
    const key = KEY_OF_ACTION[name];
    const attributes = { "data-action": name, tabindex: "-1", "aria-keyshortcuts": key ? key.toUpperCase() : null };
    return button(name === "more" ? "⋯" : "", null, { ...attributes, class: name === "hangup" ? "danger" : null });
  };
  return Object.fromEntries(names.map((name) => [name, make(name)]));
}

function updateCall(row, cells, call) {
  const { state } = call;
  for (const role of ["caller", "callee"]) {
    const { name, number } = call[role];
    const shown = formatNumber(number);
    setText(cells[`${role}Name`], name || shown || (call[role] === NO_PARTY ? "–" : t("party.unknown")));
    setText(cells[`${role}Number`], name ? shown : "");
    setNumber(cells[`${role}Name`], name ? null : number);
    setNumber(cells[`${role}Number`], name ? number : null);
  }
  setText(cells.direction, DIRECTION_SIGNS[call.direction]);
  setAttribute(cells.direction, "aria-label", DIRECTIONS[call.direction]);
  setAttribute(cells.direction, "title", DIRECTIONS[call.direction]);
  setText(cells.state, stateName(call));
  setAttribute(cells.state, "class", `badge ${state}`);
  setAttribute(row, "data-state", state);
  setAttribute(row, "aria-label", `${callName(call)}, ${STATES[state]}`);
  setAttribute(row, "draggable", state === "ended" ? "false" : "true");
}

/** Show what depends on commands, recordings, notes and settings, too. */
function updateStatus(row, cells, actions, { commands, settings, notes, states }) {
  const { call } = row;
  const consultation = commands.consultations.of(call);
  // Some browsers take focus from a button at the moment when it is disabled or hidden.
  const focused = row.contains(document.activeElement) ? document.activeElement : null;
  const possible = actionsOf(call, { phone: settings.get("phone"), consultation });
  const isBusy = call.state !== "ended" && commands.isBusy(call);
  for (const [name, { label, isPossible, isShown }] of Object.entries(possible)) {
    const control = actions[name];
    if (name === "more") setAttribute(control, "aria-label", label);
    else setText(control, label);
    control.hidden = !isShown;
    control.disabled = !isPossible;
    if (name !== "more") {
      setAttribute(control, "aria-disabled", isBusy && (name !== "hangup" || commands.isBusy(call, "hangup")));
    }
  }
  // Key events do not reach a disabled button, so the focus moves to the row.
  if (focused?.disabled || focused?.hidden) row.focus({ preventScroll: true });
  const recording = commands.recordings.of(call);
  cells.recording.hidden = !recording;
  setText(cells.recording, recording && t(`recording.${recording}`));
  showStatus(cells.status, commands.statusOf(call) ?? standingStatus(call, consultation, notes, states));
}

/** Return what a call shows when no command is under way: a consultation, who parked it, or a note. */
function standingStatus(call, consultation, notes, states) {
  if (consultation) {
    const values = { target: legName(consultation.target), waiting: legName(consultation.waiting) };
    const { isAnswered, isSwapped } = consultation;
    const text = isSwapped
      ? t("consult.swapped", values)
      : isAnswered
        ? t("consult.talking", values)
        : t("consult.ringing", values);
    return { kind: "info", text };
  }
  const parkedBy = call.state === "parked" ? states.of(call).parkedBy : "";
  if (parkedBy) return { kind: "standing", text: t("parked.by", { party: parkedBy }) };
  const note = notes.of(call.caller.number) || notes.of(call.callee.number);
  return note ? { kind: "standing", text: t("note.shown", { note }) } : null;
}

function updateTime({ call }, cells, { states, settings }) {
  const { since, isExact } = states.of(call);
  const [seconds, duration] = [(call.endedAt ?? now()) - since, (call.endedAt ?? now()) - call.since];
  setText(cells.time, `${isExact || call.endedAt ? "" : "≥ "}${formatDuration(seconds)}`);
  const level = call.endedAt ? "" : urgency(call.state, seconds, settings.get("thresholds"));
  setAttribute(cells.time, "class", `time ${level}`.trim());
  const isKnown = Number.isFinite(duration);
  setText(cells.duration, isKnown ? t("time.ofCall", { duration: formatDuration(duration) }) : "");
  setAttribute(cells.duration, "title", isKnown ? t("time.began", { time: formatTime(call.since) }) : null);
}
