/** Legs as the server tells of them, calls as people see them. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { LiveCalls, callName, legName, otherLeg, ownLeg } from "../../kazoo_bridge/console/page/app/calls.js";

const leg = (id, more = {}) => ({
  call_id: id,
  account_id: "a",
  state: "answered",
  direction: "inbound",
  timestamp: 63961574400,
  is_internal_leg: false,
  ...more,
});

const outsider = leg("a", {
  caller_id_name: "Solveig",
  caller_id_number: "+15550100",
  callee_id_number: "+15550199",
  other_leg_call_id: "b",
});
const colleague = leg("b", {
  direction: "outbound",
  timestamp: 63961574402,
  callee_id_name: "Front Desk",
  callee_id_number: "2001",
  owner_id: "u1",
  other_leg_call_id: "a",
});

function follow(...frames) {
  const calls = new LiveCalls();
  for (const [name, data] of frames) calls.follow({ name, data });
  return calls;
}

test("two connected legs are one call, the older one first", () => {
  const [call, ...others] = follow(["snapshot", { calls: [colleague, outsider] }]).calls;
  assert.equal(others.length, 0);
  assert.equal(call.id, "a");
  assert.equal(callName(call), "Solveig (+15550100) to Front Desk (2001)");
  assert.equal(call.direction, "inbound");
  assert.equal(call.state, "answered");
});

test("legs that only one side knows to be connected are one call, too", () => {
  const { other_leg_call_id: _, ...unaware } = outsider;
  assert.equal(follow(["snapshot", { calls: [unaware, colleague] }]).calls.length, 1);
});

test("legs that point in a circle, or nowhere, harm nothing", () => {
  const ring = ["x", "y", "z"].map((id, at, all) => leg(id, { other_leg_call_id: all[(at + 1) % 3] }));
  const calls = follow([
    "snapshot",
    {
      calls: [
        ...ring,
        leg("alone", { other_leg_call_id: "gone" }),
        leg("self", { other_leg_call_id: "self" }),
      ],
    },
  ]).calls;
  assert.deepEqual(
    calls.map((call) => call.legs.length),
    [3, 1, 1],
  );
});

test("legs inside the switch connect others, and are not shown", () => {
  const first = { ...outsider, other_leg_call_id: "loop" };
  const loop = leg("loop", { is_internal_leg: true, other_leg_call_id: "b" });
  const [call] = follow([
    "snapshot",
    { calls: [first, loop, { ...colleague, other_leg_call_id: "loop" }] },
  ]).calls;
  assert.deepEqual(
    call.legs.map((one) => one.call_id),
    ["a", "b"],
  );
});

test("a call that the switch has answered rings until somebody takes it", () => {
  const [call] = follow(["snapshot", { calls: [outsider, { ...colleague, state: "ringing" }] }]).calls;
  assert.equal(call.state, "ringing");
});

test("one leg on hold, or parked, tells the state of the call", () => {
  assert.equal(
    follow(["snapshot", { calls: [outsider, { ...colleague, state: "held" }] }]).calls[0].state,
    "held",
  );
  const [parked] = follow([
    "snapshot",
    { calls: [{ ...outsider, state: "parked", parking_slot: "101" }] },
  ]).calls;
  assert.deepEqual([parked.state, parked.slot], ["parked", "101"]);
});

test("whoever of the account calls an extension calls inside, and anybody else outside", () => {
  const own = { owner_id: "u1", caller_id_number: "2001" };
  const directions = [
    leg("1", { ...own, callee_id_number: "2002" }),
    leg("2", { ...own, callee_id_number: "+15550100" }),
    leg("3", { ...own, to: "2003@realm.example.com" }),
  ].map((one) => follow(["snapshot", { calls: [one] }]).calls[0].direction);
  assert.deepEqual(directions, ["internal", "outbound", "internal"]);
});

test("one of the account's people holds, and the other end is parked and transferred", () => {
  const [inbound] = follow(["snapshot", { calls: [outsider, colleague] }]).calls;
  assert.deepEqual([ownLeg(inbound).call_id, otherLeg(inbound).call_id], ["b", "a"]);
  const caller = leg("c", { owner_id: "u1", other_leg_call_id: "d" });
  const called = leg("d", { direction: "outbound", timestamp: 63961574401, other_leg_call_id: "c" });
  const [outbound] = follow(["snapshot", { calls: [caller, called] }]).calls;
  assert.deepEqual([ownLeg(outbound).call_id, otherLeg(outbound).call_id], ["c", "d"]);
  const [single] = follow(["snapshot", { calls: [outsider] }]).calls;
  assert.deepEqual([ownLeg(single).call_id, otherLeg(single).call_id], ["a", "a"]);
});

test("a leg is named for whoever is at its end", () => {
  assert.equal(legName(outsider), "Solveig (+15550100)");
  assert.equal(legName(colleague), "Front Desk (2001)");
  assert.equal(legName(leg("n")), "unknown");
  assert.equal(legName(leg("f", { from: "alice@example.com" })), "alice");
});

test("a call that ends stays in sight for a moment, and a leg that goes on elsewhere has not ended", () => {
  const calls = follow(["snapshot", { calls: [outsider, colleague] }], ["removed", { call_ids: ["b"] }]);
  assert.deepEqual(
    calls.calls.map((call) => [call.id, call.state]),
    [["a", "answered"]],
  );
  calls.follow({ name: "removed", data: { call_ids: ["a"] } });
  assert.deepEqual(
    calls.calls.map((call) => [call.id, call.state]),
    [["a", "ended"]],
  );
  calls.ended.get("a").endedAt -= 10;
  calls.tick();
  assert.deepEqual(calls.calls, []);
});

test("a snapshot makes everything before it void", () => {
  const calls = follow(["snapshot", { calls: [outsider, colleague] }], ["snapshot", { calls: [leg("new")] }]);
  assert.deepEqual(
    calls.calls.filter((call) => !call.endedAt).map((call) => call.id),
    ["new"],
  );
});
