/** One person: to call, to transfer a call to, and to listen to. */

import { callName, legParty } from "../calls.js";
import { openDialog } from "../dialogs.js";
import { button, h } from "../dom.js";
import { isMyCall } from "../my-phone.js";
import { formatNumber } from "../numbers.js";
import { LISTENING } from "../outgoing-calls.js";
import { PERSON_STATES } from "../person-options.js";
import { t } from "../strings.js";

const MAX_CALLS = 5;

/** Open the dialog; `currentCall` is the call that the operator has selected, or undefined. */
export function openPersonDialog(person, operator, currentCall) {
  const { calls, commands, outgoing } = operator;
  const run = (action) => {
    dialog.close();
    return action();
  };
  const offered = callsToOffer(calls.calls, operator.phone, currentCall);
  const transfer = (call, type) => {
    const current = calls.findCurrent(call);
    return current && commands.transfer(current, person.number, type, person.name);
  };
  const content = [
    h("p", {}, h("i", { class: `dot ${person.state}`, "aria-hidden": "true" }), " ", PERSON_STATES[person.state]),
    h(
      "div",
      { class: "buttons start" },
      button(t("people.call"), () => run(() => outgoing.call(person.number, person.name)), { class: "primary", disabled: !person.number }),
    ),
    listening(person, operator, run),
    person.number ? offered.map((call) => transferRow(call, (type) => run(() => transfer(call, type)))) : null,
  ];
  const number = formatNumber(person.number);
  const dialog = openDialog(number ? `${person.name} (${number})` : person.name, content);
}

/** The ways to listen to the person's call, where that is allowed. */
function listening({ number, userId }, { calls, outgoing, phone, mayListen }, run) {
  if (!mayListen || phone === null || phone.type === "number") return null;
  const isTheirs = (leg) => leg.state !== "ringing" && (legParty(leg).number === number || (userId && leg.owner_id === userId));
  const call = calls.calls.find((one) => !one.endedAt && one.legs.some(isTheirs));
  if (!call || isMyCall(call, phone)) return null;
  const leg = call.legs.find(isTheirs);
  const listen = (mode) =>
    button(t(`listen.${mode}`), () => run(() => outgoing.eavesdrop(call, leg, mode)), { title: t(`listen.hint.${mode}`) });
  return h(
    "div",
    { class: "person-transfer" },
    h("span", {}, `${t("listen.title")}: ${callName(call)}`),
    h("div", { class: "buttons start" }, LISTENING.map(listen)),
  );
}

function transferRow(call, onTransfer) {
  const canConsult = ["answered", "held"].includes(call.state) && call.legs.length > 1;
  return h(
    "div",
    { class: "person-transfer" },
    h("span", {}, t("people.transfer", { call: callName(call) })),
    h(
      "div",
      { class: "buttons start" },
      button(t("transfer.blind"), () => onTransfer("blind")),
      canConsult ? button(t("transfer.attended"), () => onTransfer("attended")) : null,
    ),
  );
}

/** Return the calls to offer for a transfer: the selected one, and those of the operator's phone. */
function callsToOffer(calls, phone, currentCall) {
  const mine = calls.filter((call) => !call.endedAt && isMyCall(call, phone) && call !== currentCall);
  return [currentCall, ...mine].filter(Boolean).slice(0, MAX_CALLS);
}
