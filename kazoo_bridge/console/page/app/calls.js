/** The live calls of one account: merges the legs that the server reports into calls. */

import { now } from "./clock.js";

/** How long an ended call stays in the list. */
const ENDED_CALL_DISPLAY_S = 2.5;

/** Numbers with more digits are external numbers. */
const MAX_EXTENSION_DIGITS = 6;

/** The state of a call is that of its leg with the lowest rank. */
const STATE_RANK = { parked: 0, held: 1, answered: 2, ringing: 3 };

export const STATES = {
  ringing: "Ringing",
  answered: "Talking",
  held: "On hold",
  parked: "Parked",
  ended: "Ended",
};

export const DIRECTIONS = { inbound: "Inbound", outbound: "Outbound", internal: "Internal" };

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

  rebuild() {
    this.dirty = false;
    const previous = new Map(this.merged.map((call) => [call.id, call]));
    const calls = groupLegs([...this.legs.values()]).map(
      (legs) => reuseUnchanged(previous.get(legs[0].call_id), legs) ?? makeCall(legs),
    );
    const liveCallIds = new Set(calls.map((call) => call.id));
    const liveLegIds = new Set(calls.flatMap((call) => call.allLegs.map((leg) => leg.call_id)));
    for (const call of this.merged) {
      // A call whose leg continues in another call was merged or transferred; it has not ended.
      const continues = liveCallIds.has(call.id) || call.allLegs.some((leg) => liveLegIds.has(leg.call_id));
      if (!call.endedAt && !continues) this.ended.set(call.id, { ...call, state: "ended", endedAt: now() });
    }
    for (const id of liveCallIds) this.ended.delete(id);
    this.merged = [...calls, ...this.ended.values()];
  }
}

/** Return the previous call when it consists of exactly these legs. */
function reuseUnchanged(call, legs) {
  const same =
    call !== undefined &&
    !call.endedAt &&
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

function makeCall(allLegs) {
  // Internal legs of the switch connect other legs and have no phone, so they appear only without other legs.
  const externalLegs = allLegs.filter((leg) => !leg.is_internal_leg);
  const legs = externalLegs.length ? externalLegs : allLegs;
  return {
    id: allLegs[0].call_id,
    allLegs,
    legs,
    caller: callerOf(legs),
    callee: calleeOf(legs),
    direction: directionOf(legs),
    state: stateOf(legs),
    slot: legs.find((leg) => leg.parking_slot)?.parking_slot ?? null,
    since: Math.min(...legs.map((leg) => leg.timestamp ?? Infinity)),
  };
}

const userPart = (address) => (address ?? "").split("@")[0];

function makeParty(name, number) {
  return { name: name && name !== number ? name : "", number: number || "" };
}

function callerOf([first]) {
  return makeParty(first.caller_id_name, first.caller_id_number || userPart(first.from));
}

function calleeOf(legs) {
  // The first leg has the dialled number; only the second has the party that rings or has answered.
  const second = legs.slice(1).find((leg) => leg.direction === "outbound");
  const source = second ?? legs[0];
  return makeParty(source.callee_id_name, source.callee_id_number || userPart(source.to));
}

const isAccountLeg = (leg) => Boolean(leg.owner_id || leg.authorizing_id);

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

/** Return the leg of the remote party, which is parked or transferred; the account's leg if it is alone. */
export function remoteLeg(call) {
  const own = accountLeg(call);
  const connected = call.legs.find((leg) => leg !== own && leg.call_id === own.other_leg_call_id);
  return connected ?? call.legs.find((leg) => leg !== own) ?? own;
}

/** Format the party at the end of a leg. */
export function legName(leg) {
  const isCallee = leg.direction === "outbound";
  const name = isCallee ? leg.callee_id_name : leg.caller_id_name;
  const number = isCallee
    ? leg.callee_id_number || userPart(leg.to)
    : leg.caller_id_number || userPart(leg.from);
  return partyName(makeParty(name, number));
}

/** Format a party. */
export function partyName({ name, number }) {
  return name && number ? `${name} (${number})` : name || number || "unknown";
}

/** Format a call. */
export function callName(call) {
  return `${partyName(call.caller)} to ${partyName(call.callee)}`;
}
