/**
 * Since when each live call is in its state, and who parked it: as the server reports it, else as far as this
 * page has seen it. What the page has seen stays over a reload, in the session storage.
 */

import { accountLeg, legName, makeParty, parkedLeg, partyName } from "./calls.js";
import { now } from "./clock.js";
import { DelayedSave } from "./delayed-save.js";

const STORAGE_KEY = "kazoo-bridge-console.states";

/** Events arrive faster than their effect can be seen. */
const UPDATE_INTERVAL_MS = 100;

/** Stored states are those of the live calls only, and of so many at most. */
const MAX_STORED = 1000;

const MAX_ENDED = 200;

/** Events, with a record as `detail`: "begun", "changed" and "ended"; see `of`. "update" after all of them. */
export class CallStates extends EventTarget {
  constructor(calls, storage = globalThis.sessionStorage) {
    super();
    Object.assign(this, { calls, storage });
    /** Leg id -> record. */
    this.records = new Map();
    /** The same of calls that have just ended, which still show. */
    this.ended = new Map();
    this.stored = this.load();
    this.saving = new DelayedSave(() => this.save());
    this.seen = null;
    this.onChange = () => (this.timer ??= setTimeout(() => this.update(), UPDATE_INTERVAL_MS));
    calls.addEventListener("change", this.onChange);
  }

  dispose() {
    clearTimeout(this.timer);
    this.saving.dispose();
    this.calls.removeEventListener("change", this.onChange);
  }

  /**
   * Return the record of a live call:
   * - `since`: since when it is in its state, in Gregorian seconds; `isExact` is false if it may be longer;
   * - `parkedBy`: the name of the party that parked it; "" if it is not known;
   * - `wasConnected`: whether two parties have been connected;
   * - `call`: the call as it was last.
   */
  of(call) {
    this.update();
    const id = call.allLegs[0].call_id;
    return this.records.get(id) ?? this.ended.get(id) ?? newRecord(call, false);
  }

  /** Compare the calls with those of the last time. */
  update() {
    clearTimeout(this.timer);
    this.timer = undefined;
    const { calls } = this.calls;
    if (calls === this.seen || !this.calls.loaded) return;
    const isFirst = this.seen === null;
    this.seen = calls;
    const before = new Set(this.records.values());
    const events = [];
    const records = new Map();
    for (const call of calls) {
      if (call.endedAt) continue;
      const same = this.records.get(call.allLegs[0].call_id);
      if (same?.call === call) {
        before.delete(same);
        for (const leg of call.allLegs) records.set(leg.call_id, same);
        continue;
      }
      const known = call.allLegs.map((leg) => this.records.get(leg.call_id)).find((one) => before.has(one));
      before.delete(known);
      const record = known ?? this.begin(call, isFirst);
      if (known === undefined) events.push(["begun", record]);
      else if (record.call !== call && enter(record, call)) events.push(["changed", record]);
      record.call = call;
      adoptReport(record);
      if (isConnected(call)) {
        record.wasConnected = true;
        record.partner = accountLeg(call);
      }
      for (const leg of call.allLegs) records.set(leg.call_id, record);
    }
    for (const record of before) {
      events.push(["ended", record]);
      this.ended.set(record.call.allLegs[0].call_id, record);
    }
    for (const id of this.ended.keys()) if (this.ended.size > MAX_ENDED) this.ended.delete(id);
    this.records = records;
    if (events.length) this.saving.request();
    for (const [type, detail] of events) this.dispatchEvent(new CustomEvent(type, { detail }));
    this.dispatchEvent(new Event("update"));
  }

  begin(call, isFirst) {
    const stored = this.stored.get(call.allLegs[0].call_id);
    if (isFirst && stored?.state === call.state) return { ...newRecord(call, true), ...stored };
    return newRecord(call, !isFirst);
  }

  load() {
    try {
      const entries = JSON.parse(this.storage.getItem(STORAGE_KEY)) ?? [];
      return new Map(entries.filter(([, { since, state }]) => Number.isFinite(since) && typeof state === "string"));
    } catch {
      return new Map();
    }
  }

  save() {
    const entries = [...new Set(this.records.values())].slice(0, MAX_STORED).map((record) => {
      const { since, isExact, parkedBy, wasConnected, call } = record;
      return [call.allLegs[0].call_id, { since, isExact, parkedBy, wasConnected, state: call.state }];
    });
    try {
      this.storage.setItem(STORAGE_KEY, JSON.stringify(entries));
    } catch {
      // The browser stores nothing: after a reload, times are counted from then.
    }
  }
}

/** Return the record of a call that was not known; `isNew` when it has begun just now. */
function newRecord(call, isNew) {
  const began = Number.isFinite(call.since) ? call.since : now();
  const rings = call.state === "ringing";
  const since = rings || call.state === "answered" ? began : now();
  return { call, since, isExact: rings || isNew, parkedBy: "", wasConnected: false, partner: null };
}

/** Change a record to the present state of its call; return whether that is another one. */
function enter(record, call) {
  if (record.call.state === call.state) return false;
  record.since = now();
  record.isExact = true;
  // The leg of the party that parked the call ends before or after that.
  const parked = call.state === "parked" ? parkedLeg(call) : undefined;
  const { partner } = record;
  record.parkedBy = parked && partner && partner.call_id !== parked.call_id ? legName(partner) : "";
  return true;
}

/** Prefer what the server reports to what the page has seen. */
function adoptReport(record) {
  const { call } = record;
  const times = call.legs.filter(({ state }) => state === call.state).map((leg) => leg.state_since);
  if (times.length && times.every(Number.isFinite)) {
    // Two parties talk since the second one has answered; a call waits since its first leg does.
    record.since = call.state === "answered" ? Math.max(...times) : Math.min(...times);
    record.isExact = true;
  }
  const { parked_by_name: name, parked_by_number: number } = parkedLeg(call);
  if (call.state === "parked" && (name || number)) {
    record.parkedBy = partyName(makeParty(name, number));
  }
}

const isConnected = (call) => call.legs.filter((leg) => leg.state !== "ringing").length > 1;
