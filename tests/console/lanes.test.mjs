import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { LiveCalls } from "../../kazoo_bridge/console/page/app/calls.js";
import { arrangeInLanes, laneOf } from "../../kazoo_bridge/console/page/app/lanes.js";

const PHONE = { type: "number", id: "2001", name: "Desk" };
const FILTERS = { lane: "", direction: "", search: "", sort: { column: "time", descending: true } };

let calls;
let since;
const states = { of: (call) => ({ since: since[call.id] ?? call.since }) };

const leg = (id, state, more = {}) => ({
  call_id: id,
  state,
  direction: "inbound",
  timestamp: 1000,
  caller_id_name: id,
  ...more,
});
const toPhone = { direction: "outbound", callee_id_number: "2001", owner_id: "u", caller_id_name: "x" };
const outbound = { owner_id: "u", callee_id_number: "+15550100" };

beforeEach(() => {
  since = {};
  const live = new LiveCalls();
  const legs = [
    leg("rings", "ringing"),
    leg("early", "ringing", { timestamp: 900 }),
    leg("dials", "ringing", outbound),
    leg("held", "held"),
    leg("parked", "parked"),
    leg("talks", "answered"),
    leg("mine", "answered", toPhone),
  ];
  live.applyEvent({ name: "snapshot", data: { calls: legs } });
  calls = live.calls;
});

const arrange = (filters = {}, phone = PHONE, list = calls) => {
  const arranged = arrangeInLanes(list, { ...FILTERS, ...filters }, { phone, states });
  const lanes = Object.fromEntries(arranged.lanes.map((one) => [one.lane, one.calls.map(({ id }) => id).join(" ")]));
  return { ...arranged, lanes };
};

test("calls are in the lane of what they wait for, and those of the operator's phone come first", () => {
  const { lanes, counts, live } = arrange();
  assert.deepEqual(Object.keys(lanes), ["mine", "ringing", "held", "parked", "answered"]);
  assert.deepEqual(lanes, {
    mine: "mine",
    ringing: "early rings",
    held: "held",
    parked: "parked",
    answered: "dials talks",
  });
  assert.deepEqual([counts.ringing, counts.answered, live], [2, 2, 7]);
  assert.equal(arrange({}, null).lanes.answered, "dials mine talks");
});

test("a parked call waits in its slot, of which phone it was", () => {
  const parked = { ...calls.find(({ id }) => id === "mine"), state: "parked" };
  assert.equal(laneOf(parked, PHONE), "parked");
});

test("a call that has ended stays in its lane, and no longer counts", () => {
  const list = calls.map((call) => (call.id === "held" ? { ...call, state: "ended", lastState: "held", endedAt: 1 } : call));
  const { lanes, counts, live, shown } = arrange({}, null, list);
  assert.equal(lanes.held, "held");
  assert.deepEqual([counts.held, live, shown], [0, 6, 6]);
  assert.equal(laneOf(list.find(({ id }) => id === "held"), null), "held");
});

test("filters hide calls, but the counts are of all", () => {
  const { lanes, counts, shown, live } = arrange({ lane: "ringing" });
  assert.deepEqual([lanes.ringing, lanes.held, counts.held, shown, live], ["early rings", "", 1, 2, 7]);
  assert.equal(arrange({ direction: "outbound" }).lanes.answered, "dials");
  assert.equal(arrange({ search: "TALKS" }).shown, 1);
});

test("the longest time in the state comes first, or the shortest, and other columns sort by their value", () => {
  since = { rings: 100, early: 200 };
  assert.equal(arrange().lanes.ringing, "rings early");
  assert.equal(arrange({ sort: { column: "time", descending: false } }).lanes.ringing, "early rings");
  assert.equal(arrange({ sort: { column: "from", descending: false } }).lanes.ringing, "early rings");
  assert.equal(arrange({ sort: { column: "from", descending: true } }).lanes.ringing, "rings early");
  assert.equal(arrange({ sort: { column: "gone", descending: true } }).lanes.ringing, "rings early");
});
