/** The actions that a call offers: their labels, whether they are possible, and what they do. */

import { canPickUp } from "./my-phone.js";
import { t } from "./strings.js";

/**
 * Return the actions of a call by name, in the order in which they show: `{label, isPossible, isShown}`.
 *
 * While a transfer is prepared, "complete", "swap" and "cancel" show in place of the others.
 */
export function actionsOf(call, { phone, consultation = null }) {
  const { state } = call;
  const isLive = state !== "ended";
  const action = (label, isPossible, isShown = true) => ({ label, isPossible: isLive && isPossible, isShown });
  const consults = consultation !== null;
  const parked = state === "parked";
  return {
    pickup: action(t("action.pickup"), canPickUp(call, phone), phone !== null && !consults),
    hold: action(state === "held" ? t("action.resume") : t("action.hold"), ["answered", "held"].includes(state), !consults),
    park: action(parked ? t("action.retrieve") : t("action.park"), state !== "ringing", !consults),
    transfer: action(t("action.transfer"), true, !consults),
    complete: action(t("action.complete"), true, consults),
    swap: action(t("action.swap"), consults && consultation.isAnswered, consults),
    cancel: action(t("action.cancel"), true, consults),
    hangup: action(t("action.hangup"), true),
    more: action(t("action.more"), true),
  };
}

/** The keys of the actions, as `event.key` in lower case. */
export const ACTION_KEYS = {
  a: "pickup",
  h: "hold",
  p: "park",
  t: "transfer",
  j: "complete",
  x: "swap",
  b: "cancel",
  r: "record",
  n: "note",
  delete: "hangup",
};

/**
 * Run an action that needs no more input; return undefined for others. A parked call is retrieved to the
 * operator's phone where there is one.
 */
export function runAction(name, call, { commands, settings }) {
  const phone = settings.get("phone");
  const pickUp = () => commands.pickUp(call, phone, settings.get("autoAnswer"));
  const retrieve = () => (phone && canPickUp(call, phone) ? pickUp() : commands.unpark(call));
  const actions = {
    pickup: pickUp,
    hold: () => (call.state === "held" ? commands.resume(call) : commands.hold(call)),
    park: () => (call.state === "parked" ? retrieve() : commands.park(call)),
    complete: () => commands.complete(call),
    swap: () => commands.swap(call),
    cancel: () => commands.cancel(call),
    hangup: () => commands.hangup(call),
    record: () => commands.record(call, commands.otherLeg(call), commands.recordings.of(call) ? "stop" : "start"),
  };
  return actions[name]?.();
}
