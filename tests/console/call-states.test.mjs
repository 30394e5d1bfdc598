import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";

import { CallStates } from "../../kazoo_bridge/console/page/app/call-states.js";
import { LiveCalls } from "../../kazoo_bridge/console/page/app/calls.js";
import { now } from "../../kazoo_bridge/console/page/app/clock.js";
import { FakeStorage } from "./fake-storage.mjs";

const realNow = Date.now;
let milliseconds;
let storage;
let calls;
let states;
let events;

beforeEach(() => {
  milliseconds = 1_800_000_000_000;
  Date.now = () => milliseconds;
  storage = new FakeStorage();
  began = now() - 100;
  reload();
});

afterEach(() => {
  states.dispose();
  Date.now = realNow;
});

function reload() {
  states?.dispose();
  calls = new LiveCalls();
  states = new CallStates(calls, storage);
  events = [];
  for (const type of ["begun", "changed", "ended"]) {
    states.addEventListener(type, ({ detail }) => events.push(`${type} ${detail.call.id}`));
  }
}

let began;
const leg = (id, more) => ({ call_id: id, state: "answered", direction: "inbound", timestamp: began, ...more });
const desk = (more) => ({
  ...leg("b", { direction: "outbound", owner_id: "u", callee_id_name: "Desk", other_leg_call_id: "a" }),
  ...more,
});
const snapshot = (...legs) => apply("snapshot", legs);
const change = (...legs) => apply("changed", legs);
function apply(name, legs, ids = []) {
  calls.applyEvent({ name, data: { calls: legs, call_ids: ids } });
  states.update();
}
const remove = (...ids) => apply("removed", [], ids);
const wait = (seconds) => (milliseconds += seconds * 1000);
const call = (id = "a") => calls.calls.find((one) => one.id === id);
const record = (id) => states.of(call(id));
const secondsIn = (id) => Math.round(now() - record(id).since);

test("of calls from before, a ringing one began to ring with the call; other times may be longer", () => {
  snapshot(leg("a", { state: "ringing" }), leg("c", { state: "held" }), leg("d"));
  assert.deepEqual([secondsIn("a"), record("a").isExact], [100, true]);
  assert.deepEqual([secondsIn("c"), record("c").isExact], [0, false]);
  assert.deepEqual([secondsIn("d"), record("d").isExact], [100, false]);
});

test("the time in a state begins with the state, whatever else changes", () => {
  snapshot(leg("a"), desk());
  wait(10);
  change(leg("a", { state: "held" }));
  wait(20);
  change(leg("a", { state: "held", caller_id_name: "Ada" }));
  assert.deepEqual([secondsIn(), record().isExact], [20, true]);
  wait(5);
  change(leg("a"));
  assert.equal(secondsIn(), 0);
  assert.deepEqual(events, ["begun a", "changed a", "changed a"]);
});

test("a parked call knows who parked it", () => {
  snapshot(leg("a"), desk());
  remove("b");
  change(leg("a", { state: "parked" }));
  assert.equal(record().parkedBy, "Desk");
  change(leg("a"));
  assert.equal(record().parkedBy, "");
  reload();
  // The leg of the party that parked it may also end after that.
  snapshot(leg("a"), desk());
  change(leg("a", { state: "parked", parking_slot: "101" }));
  remove("b");
  assert.equal(record().parkedBy, "Desk");
  reload();
  snapshot(leg("c", { state: "parked" }));
  assert.equal(record("c").parkedBy, "");
});

test("a call that continues with other legs is the same, and ends once", () => {
  snapshot(leg("a"), desk());
  wait(30);
  remove("a");
  assert.equal(secondsIn("a"), 130);
  remove("b");
  assert.deepEqual(events, ["begun a", "ended a"]);
  assert.equal(states.of(calls.calls[0]).wasConnected, true);
});

test("what was seen stays over a reload of the page, unless the state is another one", () => {
  snapshot(leg("a"), leg("c"));
  change(leg("a", { state: "held" }), leg("c", { state: "held" }));
  wait(60);
  reload();
  snapshot(leg("a", { state: "held" }), leg("c", { state: "parked" }));
  assert.deepEqual([secondsIn("a"), record("a").isExact], [60, true]);
  assert.deepEqual([secondsIn("c"), record("c").isExact], [0, false]);
});

test("a storage that is broken or full only loses what was seen before", () => {
  storage.setItem("kazoo-bridge-console.states", '[["a", null]]');
  reload();
  storage.isFull = true;
  snapshot(leg("a"));
  assert.equal(secondsIn(), 100);
});

test("nothing is compared before the first snapshot", () => {
  calls.setUnavailable("no bus");
  states.update();
  snapshot(leg("a", { state: "held" }));
  assert.equal(record().isExact, false);
});

test("what the server reports is preferred to what the page has seen", () => {
  const [then, later] = [began + 10, began + 40];
  const both = { state_since: then };
  snapshot(leg("a", both), desk({ state_since: later }), leg("c", { state: "held", state_since: then }));
  assert.deepEqual([secondsIn("a"), record("a").isExact], [60, true]);
  assert.deepEqual([secondsIn("c"), record("c").isExact], [90, true]);
  // A leg without a time makes the time of the call unknown.
  storage = new FakeStorage();
  reload();
  snapshot(leg("a", both), desk());
  assert.deepEqual([secondsIn("a"), record("a").isExact], [100, false]);
  change(leg("a", { state: "parked", parked_by_name: "Ines", parked_by_number: "2003" }));
  assert.equal(record("a").parkedBy, "Ines (2003)");
});
