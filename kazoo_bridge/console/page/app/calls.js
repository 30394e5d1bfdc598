/** The live calls of one account: merges the legs that the server reports into calls. */

import { now } from "./clock.js";
import { formatNumber } from "./numbers.js";
import { t } from "./strings.js";

/** How long an ended call stays in the list. */
const ENDED_CALL_DISPLAY_S = 2.5;

/** Numbers with more digits are external numbers. */
const MAX_EXTENSION_DIGITS = 6;

/** The state of a call is that of its leg with the lowest rank. */
const STATE_RANK = { parked: 0, held: 1, answered: 2, ringing: 3 };

export const STATES = {
  ringing: t("state.ringing"),
  answered: t("state.answered"),
  held: t("state.held"),
  parked: t("state.parked"),
  ended: t("state.ended"),
};

export const DIRECTIONS = {
  inbound: t("direction.inbound"),
  outbound: t("direction.outbound"),
  internal: t("direction.internal"),
};

export const DIRECTION_SIGNS = { inbound: "↙", outbound: "↗", internal: "↔" };

export class LiveCalls extends EventTarget {
  constructor() {
    super();
    this.legs = new Map();
    this.ended = new Map();
    this.loaded = false;
    /** Gregorian seconds since when the server has lost the switch; null while it is connected. */
    this.staleSince = null;
    /** Why the server does not report calls; empty when it does. */
    this.unavailableReason = "";
    this.merged = [];
    this.dirty = false;
  }

  /** Live calls and calls that have just ended. An unchanged call is the same object as before. */
  get calls() {
    // Merged on access, because events arrive faster than the page draws.
    if (this.dirty) this.rebuild();
    return this.merged;
  }

  /** Apply an event of the binding "calls". */
  applyEvent(frame) {
    const { calls: legs = [], call_ids: endedIds = [] } = frame.data;
    if (frame.name === "snapshot") {
      this.loaded = true;
      this.staleSince = null;
      this.legs.clear();
    } else if (frame.name === "stale") this.staleSince ??= now();
    for (const leg of legs) this.legs.set(leg.call_id, leg);
    for (const id of endedIds) this.legs.delete(id);
    this.markChanged();
  }

  /** Remove ended calls whose display time is over. */
  tick() {
    const limit = now() - ENDED_CALL_DISPLAY_S;
    const sizeBefore = this.ended.size;
    for (const [id, call] of this.ended) {
      if (call.endedAt < limit) this.ended.delete(id);
    }
    if (this.ended.size < sizeBefore) this.markChanged();
  }

  /** Record why the server does not report calls. */
  setUnavailable(reason) {
    this.unavailableReason = reason;
    this.markChanged();
  }

  /** Return the live call that has any of the given call's legs now; undefined when the call has ended. */
  findCurrent(call) {
    const ids = new Set(call.legs.map((leg) => leg.call_id));
    return this.calls.find((other) => !other.endedAt && other.legs.some((leg) => ids.has(leg.call_id)));
  }

  markChanged() {
    this.dirty = true;
    this.dispatchEvent(new Event("change"));
  }

  /**
   * Return the call that these legs have been: a call keeps its id, and so its place on the page, while one of
   * its legs lives on. Of a call that was divided, the part with its first leg is the same call.
   */
  previousCall(legs, previous, used) {
    const ids = legs.map((leg) => leg.call_id);
    return ids
      .map((id) => previous.get(id))
      .find((call) => call && !used.has(call.id) && (ids.includes(call.id) || !this.legs.has(call.id)));
  }

  rebuild() {
    this.dirty = false;
    const previous = new Map(
      this.merged.filter(({ endedAt }) => !endedAt).flatMap((call) => call.allLegs.map((leg) => [leg.call_id, call])),
    );
    const used = new Set();
    const calls = groupLegs([...this.legs.values()]).map((legs) => {
      const before = this.previousCall(legs, previous, used);
      const id = before?.id ?? legs[0].call_id;
      used.add(id);
      return reuseUnchanged(before, legs) ?? makeCall(legs, id);
    });
    const liveCallIds = new Set(calls.map((call) => call.id));
    const liveLegIds = new Set(calls.flatMap((call) => call.allLegs.map((leg) => leg.call_id)));
    for (const call of this.merged) {
      // A call whose leg continues in another call was merged or transferred; it has not ended.
      const continues = liveCallIds.has(call.id) || call.allLegs.some((leg) => liveLegIds.has(leg.call_id));
      if (!call.endedAt && !continues) this.ended.set(call.id, endCall(call));
    }
    for (const id of liveCallIds) this.ended.delete(id);
    this.merged = [...calls, ...this.ended.values()];
  }
}

/** Return a call as one that has ended; `lastState` is its state before. */
export function endCall(call) {
  const { state, lastState = state, endedAt = now() } = call;
  return { ...call, state: "ended", lastState, endedAt };
}

/** Return the previous call when it consists of exactly these legs. */
function reuseUnchanged(call, legs) {
  const same =
    call !== undefined &&
    call.allLegs.length === legs.length &&
    call.allLegs.every((leg, index) => leg === legs[index]);
  return same ? call : undefined;
}

/** Group legs that are connected directly or through other legs. The oldest leg comes first. */
function groupLegs(legs) {
  const parent = new Map(legs.map((leg) => [leg.call_id, leg.call_id]));
  const findRoot = (id) => {
    let root = id;
    while (parent.get(root) !== root) root = parent.get(root);
    parent.set(id, root);
    return root;
  };
  for (const leg of legs) {
    if (parent.has(leg.other_leg_call_id)) parent.set(findRoot(leg.call_id), findRoot(leg.other_leg_call_id));
  }
  const groups = new Map();
  for (const leg of legs) {
    const id = findRoot(leg.call_id);
    if (!groups.has(id)) groups.set(id, []);
    groups.get(id).push(leg);
  }
  return [...groups.values()].map((group) => group.sort(compareLegs));
}

const isInbound = (leg) => leg.direction === "inbound";

/** Order legs by age; of two legs with the same timestamp, the inbound one is the caller's. */
function compareLegs(left, right) {
  const byAge = (left.timestamp ?? 0) - (right.timestamp ?? 0);
  return byAge || Number(isInbound(right)) - Number(isInbound(left));
}

function makeCall(allLegs, id) {
  // Internal legs of the switch connect other legs and have no phone, so they appear only without other legs.
  const externalLegs = allLegs.filter((leg) => !leg.is_internal_leg);
  const legs = externalLegs.length ? externalLegs : allLegs;
  return {
    id,
    allLegs,
    legs,
    ...partiesOf(legs),
    direction: directionOf(legs),
    state: stateOf(legs),
    slot: legs.find((leg) => leg.parking_slot)?.parking_slot ?? null,
    since: Math.min(...legs.map((leg) => leg.timestamp ?? Infinity)),
  };
}

const userPart = (address) => (address ?? "").split("@")[0];

/** Return a party; a name that repeats the number is left out. */
export function makeParty(name, number) {
  return { name: name && name !== number ? name : "", number: number || "" };
}

/** The other party of a party that is alone in a call. */
export const NO_PARTY = makeParty("", "");

/** Return the party at the end of a leg: the one that called the switch, or that the switch called. */
export function legParty(leg) {
  const { caller_id_name, caller_id_number, callee_id_name, callee_id_number } = leg;
  return leg.direction === "outbound"
    ? makeParty(callee_id_name, callee_id_number || userPart(leg.to))
    : makeParty(caller_id_name, caller_id_number || userPart(leg.from));
}

/** Return the parties of a call: those of its first leg and of the one connected to it. */
function partiesOf(legs) {
  const [first, ...others] = legs;
  const connected = others.filter((leg) => leg.call_id === first.other_leg_call_id);
  // While a transfer is prepared a third leg rings, but the first one is still connected to the second.
  const partner =
    [...connected, ...others].find((leg) => leg.state !== "ringing") ?? connected[0] ?? others[0];
  if (partner) return { caller: legParty(first), callee: legParty(partner) };
  return isInbound(first) ? inboundPartiesOf(first) : outboundPartiesOf(first);
}

/** Return the parties of a call whose only leg has called the switch. */
function inboundPartiesOf(leg) {
  const { callee_id_name, callee_id_number, to, state } = leg;
  // A parked caller waits for any party, and the last one that has answered has left the call.
  if (state === "parked") return { caller: legParty(leg), callee: NO_PARTY };
  // So it has when the caller is alone with the switch: what is left is the number that was dialled.
  const callee =
    state === "ringing"
      ? makeParty(callee_id_name, callee_id_number || userPart(to))
      : makeParty("", userPart(to) || callee_id_number);
  return { caller: legParty(leg), callee };
}

/** Return the parties of a call whose only leg was called by the switch. */
function outboundPartiesOf(leg) {
  // A ringing phone shows who calls. Once it has answered and is alone, that party has left the call.
  if (leg.state !== "ringing") return { caller: legParty(leg), callee: NO_PARTY };
  const caller = makeParty(leg.caller_id_name, leg.caller_id_number || userPart(leg.from));
  return { caller, callee: legParty(leg) };
}

/** Whether a leg is that of a telephone of the account. */
export const isAccountLeg = (leg) => Boolean(leg.owner_id || leg.authorizing_id);

function directionOf([first, ...others]) {
  if (!isAccountLeg(first)) return first.direction === "outbound" ? "outbound" : "inbound";
  if (others.length) return others.every(isAccountLeg) ? "internal" : "outbound";
  const number = first.callee_id_number || userPart(first.to);
  return /^[*\d]+$/.test(number) && number.length <= MAX_EXTENSION_DIGITS ? "internal" : "outbound";
}

function stateOf(legs) {
  const states = legs.map((leg) => leg.state).sort((left, right) => STATE_RANK[left] - STATE_RANK[right]);
  // The switch answers the caller's leg (for music or announcements) while the callee's still rings.
  const answeredCount = states.filter((state) => state === "answered").length;
  if (legs.length > 1 && states[0] === "answered" && answeredCount === 1) return "ringing";
  return states[0];
}

/** Return the leg of the account's own party, which holds and transfers; the first leg when none is known. */
export function accountLeg(call) {
  const mayBeAccountLeg = (leg, index) => isAccountLeg(leg) && (index > 0 || call.direction !== "inbound");
  return call.legs.find(mayBeAccountLeg) ?? call.legs.find(isAccountLeg) ?? call.legs[0];
}

/** Return the leg of the party that is connected to `own`, which is parked or transferred; `own` if it is alone. */
export function remoteLeg(call, own = accountLeg(call)) {
  const connected = call.legs.find((leg) => leg !== own && leg.call_id === own.other_leg_call_id);
  return connected ?? call.legs.find((leg) => leg !== own) ?? own;
}

/** Format the party at the end of a leg. */
export function legName(leg) {
  return partyName(legParty(leg));
}

/** Format a party. */
export function partyName({ name, number }) {
  return name && number ? `${name} (${formatNumber(number)})` : name || formatNumber(number) || t("party.unknown");
}

/** Format a call by its parties; a party that is alone in a call has no other. */
export function callName(call) {
  const caller = partyName(call.caller);
  return call.callee === NO_PARTY ? caller : t("party.pair", { caller, callee: partyName(call.callee) });
}

/** Format the state of a call, with its park slot. */
export function stateName({ state, slot }) {
  return state === "parked" && slot ? t("state.parkedIn", { slot }) : STATES[state];
}

/** Return the text to search a call by: all its parties, of whom a call shows two. */
export function searchText(call) {
  const parties = [call.caller, call.callee, ...call.legs.map(legParty)];
  return parties.map(({ name, number }) => `${name} ${number}`).join(" ").toLowerCase();
}

/** Return the leg of a call that is parked; the first leg when none is. */
export function parkedLeg(call) {
  return call.legs.find((leg) => leg.state === "parked") ?? call.legs[0];
}
