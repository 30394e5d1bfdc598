/** The live calls of one account: legs as the server tells of them, put together to calls as people see them. */

import { now } from "./clock.js";

/** Seconds that a call stays in sight after its end. */
const LINGER = 2.5;

/** Numbers of at most so many digits are extensions. */
const LONGEST_EXTENSION = 6;

const RANK = { parked: 0, held: 1, answered: 2, ringing: 3 };

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
    this.known = false;
    /** Since when the server cannot hear the switch, in Gregorian seconds; null while it can. */
    this.doubtedSince = null;
    /** Why there is no telling which calls there are. */
    this.refusal = "";
    this.put = [];
    this.dirty = false;
  }

  /** Those that live, and those that have just ended. A call that has not changed is the same object as before. */
  get calls() {
    // Put together when somebody looks, and not with every event: events come faster than anybody looks.
    if (this.dirty) this.putTogether();
    return this.put;
  }

  /** Follow one event of the binding "calls". */
  follow(frame) {
    const { calls = [], call_ids: ended = [] } = frame.data;
    if (frame.name === "snapshot") {
      this.known = true;
      this.doubtedSince = null;
      this.legs.clear();
    } else if (frame.name === "stale") this.doubtedSince ??= now();
    for (const leg of calls) this.legs.set(leg.call_id, leg);
    for (const id of ended) this.legs.delete(id);
    this.changed();
  }

  /** Forget calls whose end has been seen for long enough. */
  tick() {
    const until = now() - LINGER;
    const before = this.ended.size;
    for (const [id, call] of this.ended) {
      if (call.endedAt < until) this.ended.delete(id);
    }
    if (this.ended.size < before) this.changed();
  }

  /** The server does not tell of calls, for this reason. */
  refuse(reason) {
    this.refusal = reason;
    this.changed();
  }

  /** What has become of a call: legs come and go, so it is the one that any of its legs is in now. Undefined when it has ended. */
  successorOf(call) {
    const ids = new Set(call.legs.map((leg) => leg.call_id));
    return this.calls.find((one) => !one.endedAt && one.legs.some((leg) => ids.has(leg.call_id)));
  }

  changed() {
    this.dirty = true;
    this.dispatchEvent(new Event("change"));
  }

  putTogether() {
    this.dirty = false;
    const before = new Map(this.put.map((call) => [call.id, call]));
    const calls = grouped([...this.legs.values()]).map(
      (legs) => unchanged(before.get(legs[0].call_id), legs) ?? describe(legs),
    );
    const live = new Set(calls.map((call) => call.id));
    const legs = new Set(calls.flatMap((call) => call.all.map((leg) => leg.call_id)));
    for (const call of this.put) {
      // A leg that lives on in another call has not ended.
      if (!call.endedAt && !live.has(call.id) && !call.all.some((leg) => legs.has(leg.call_id))) {
        this.ended.set(call.id, { ...call, state: "ended", endedAt: now() });
      }
    }
    for (const id of live) this.ended.delete(id);
    this.put = [...calls, ...this.ended.values()];
  }
}

/** The call as it was put together before, if it is of these very legs. */
function unchanged(call, legs) {
  const same =
    call !== undefined &&
    !call.endedAt &&
    call.all.length === legs.length &&
    call.all.every((leg, at) => leg === legs[at]);
  return same ? call : undefined;
}

/** Legs that are connected to each other, even through others, are of one call. The oldest leg comes first. */
function grouped(legs) {
  const parent = new Map(legs.map((leg) => [leg.call_id, leg.call_id]));
  const root = (id) => {
    let found = id;
    while (parent.get(found) !== found) found = parent.get(found);
    parent.set(id, found);
    return found;
  };
  for (const leg of legs) {
    if (parent.has(leg.other_leg_call_id)) parent.set(root(leg.call_id), root(leg.other_leg_call_id));
  }
  const groups = new Map();
  for (const leg of legs) {
    const id = root(leg.call_id);
    if (!groups.has(id)) groups.set(id, []);
    groups.get(id).push(leg);
  }
  return [...groups.values()].map((group) =>
    group.sort((one, other) => (one.timestamp ?? 0) - (other.timestamp ?? 0) || firstInbound(one, other)),
  );
}

const firstInbound = (one, other) =>
  Number(other.direction === "inbound") - Number(one.direction === "inbound");

function describe(legs) {
  // Legs inside the switch connect others and are nobody's telephone, unless there is nothing else.
  const telephones = legs.filter((leg) => !leg.is_internal_leg);
  const shown = telephones.length ? telephones : legs;
  const first = shown[0];
  return {
    id: legs[0].call_id,
    all: legs,
    legs: shown,
    caller: callerOf(first),
    called: calledBy(first, shown),
    direction: directionOf(first, shown),
    state: stateOf(shown),
    slot: shown.find((leg) => leg.parking_slot)?.parking_slot ?? null,
    since: Math.min(...shown.map((leg) => leg.timestamp ?? Infinity)),
  };
}

const userPart = (address) => (address ?? "").split("@")[0];

function party(name, number) {
  return { name: name && name !== number ? name : "", number: number || "" };
}

function callerOf(first) {
  return party(first.caller_id_name, first.caller_id_number || userPart(first.from));
}

function calledBy(first, legs) {
  // Until somebody answers, the second leg knows best who is being called.
  const second = legs.find((leg) => leg !== first && leg.direction === "outbound");
  const source = second ?? first;
  return party(source.callee_id_name, source.callee_id_number || userPart(source.to));
}

const isOurs = (leg) => Boolean(leg.owner_id || leg.authorizing_id);

function directionOf(first, legs) {
  if (!isOurs(first)) return first.direction === "outbound" ? "outbound" : "inbound";
  const others = legs.filter((leg) => leg !== first);
  if (others.length) return others.every(isOurs) ? "internal" : "outbound";
  const number = first.callee_id_number || userPart(first.to);
  return /^[*\d]+$/.test(number) && number.length <= LONGEST_EXTENSION ? "internal" : "outbound";
}

function stateOf(legs) {
  const states = legs.map((leg) => leg.state).sort((one, other) => RANK[one] - RANK[other]);
  // The caller has been answered by the switch, and the one who is called has not: it rings.
  if (
    legs.length > 1 &&
    states[0] === "answered" &&
    states.filter((state) => state === "answered").length === 1
  )
    return "ringing";
  return states[0];
}

/** The leg at whose end is one of the account's people, who holds and parks; the first one where that is not known. */
export function ownLeg(call) {
  return (
    call.legs.find((leg, at) => isOurs(leg) && (at > 0 || call.direction !== "inbound")) ??
    call.legs.find(isOurs) ??
    call.legs[0]
  );
}

/** The other end of the call: who is parked, and who is transferred. */
export function otherLeg(call) {
  const own = ownLeg(call);
  return (
    call.legs.find((leg) => leg !== own && leg.call_id === own.other_leg_call_id) ??
    call.legs.find((leg) => leg !== own) ??
    own
  );
}

/** Whoever is at the end of a leg, in words. */
export function legName(leg) {
  const outward = leg.direction === "outbound";
  const name = outward ? leg.callee_id_name : leg.caller_id_name;
  const number = outward
    ? leg.callee_id_number || userPart(leg.to)
    : leg.caller_id_number || userPart(leg.from);
  return partyName(party(name, number));
}

/** A party in words. */
export function partyName({ name, number }) {
  return name && number ? `${name} (${number})` : name || number || "unknown";
}

/** A call in words. */
export function callName(call) {
  return `${partyName(call.caller)} to ${partyName(call.called)}`;
}
