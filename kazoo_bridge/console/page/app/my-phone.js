/** The operator's own phone: which calls are on it, and how commands name it. */

import { legParty, remoteLeg } from "./calls.js";

/** Whether a leg is that of the phone; false without a phone. */
export function isMyLeg(leg, phone) {
  if (!phone) return false;
  if (phone.type === "user") return leg.owner_id === phone.id;
  if (phone.type === "device") return leg.authorizing_id === phone.id;
  return legParty(leg).number === phone.id;
}

/** Whether the phone is on a call, or rings for it. */
export function isMyCall(call, phone) {
  return Boolean(phone) && call.legs.some((leg) => isMyLeg(leg, phone));
}

/** Return what connects a call to the phone: the data of the command `intercept`. */
export function interceptData(phone, autoAnswer) {
  return { target_type: phone.type, target_id: phone.id, ...(autoAnswer ? { auto_answer: true } : {}) };
}

/** Return what the phone calls `number` with: the data of the command `originate`. */
export function originateData(phone, number, autoAnswer) {
  const data = { from_type: phone.type, from_id: phone.id, to: number };
  return autoAnswer ? { ...data, auto_answer: true } : data;
}

/** Return the leg of the party that is connected to a phone which picks up the call. */
export function legToPickUp(call) {
  if (call.state === "parked") return call.legs.find((leg) => leg.state === "parked") ?? call.legs[0];
  // The oldest leg is that of the caller, who waits for an answer.
  if (call.state === "ringing") return call.legs[0];
  // The leg that reports a hold is that of the telephone that holds; colleagues may hold each other.
  const waiting = call.direction === "internal" ? call.legs.find((leg) => leg.state !== "held") : undefined;
  return waiting ?? remoteLeg(call);
}

/** Whether a phone can take over a call: it waits for an answer, or on hold, or in a park slot. */
export function canPickUp(call, phone) {
  if (!phone || !["ringing", "held", "parked"].includes(call.state)) return false;
  const own = call.legs.find((leg) => isMyLeg(leg, phone));
  // A phone that has called another one cannot answer that call.
  return !own || (call.state === "ringing" && own.direction === "outbound");
}
