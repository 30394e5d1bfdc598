import assert from "node:assert/strict";
import { test } from "node:test";

import { LiveCalls } from "../../kazoo_bridge/console/page/app/calls.js";
import {
  canPickUp,
  interceptData,
  isMyCall,
  legToPickUp,
  originateData,
} from "../../kazoo_bridge/console/page/app/my-phone.js";

const CALLER = { call_id: "a", state: "answered", direction: "inbound", timestamp: 1, caller_id_number: "+15550100" };
const DESK = {
  call_id: "b",
  state: "ringing",
  direction: "outbound",
  timestamp: 2,
  callee_id_number: "2001",
  owner_id: "u1",
  authorizing_id: "d1",
  other_leg_call_id: "a",
};
const USER = { type: "user", id: "u1", name: "Desk" };
const OTHER = { type: "number", id: "2003", name: "2003" };

function callOf(...legs) {
  const calls = new LiveCalls();
  calls.applyEvent({ name: "snapshot", data: { calls: legs } });
  return calls.calls[0];
}

test("a call is on a phone that is a number, a user or a device", () => {
  const call = callOf(CALLER, DESK);
  const phones = [USER, { type: "device", id: "d1" }, { type: "number", id: "2001" }, OTHER, null];
  assert.deepEqual(
    phones.map((phone) => isMyCall(call, phone)),
    [true, true, true, false, false],
  );
});

test("what waits can be picked up, by the party that waits", () => {
  const ringing = callOf(CALLER, DESK);
  assert.ok(canPickUp(ringing, OTHER));
  assert.equal(legToPickUp(ringing).call_id, "a");
  // The leg of the telephone that holds reports the hold.
  const held = callOf(CALLER, { ...DESK, state: "held" });
  assert.ok(canPickUp(held, OTHER));
  assert.equal(legToPickUp(held).call_id, "a");
  const colleagues = [{ ...CALLER, owner_id: "v" }, { ...DESK, state: "answered" }];
  assert.equal(legToPickUp(callOf({ ...colleagues[0], state: "held" }, colleagues[1])).call_id, "b");
  assert.equal(legToPickUp(callOf(colleagues[0], { ...colleagues[1], state: "held" })).call_id, "a");
  const parked = callOf({ ...CALLER, state: "parked" });
  assert.ok(canPickUp(parked, OTHER));
  assert.equal(legToPickUp(parked).call_id, "a");
  assert.ok(!canPickUp(callOf(CALLER, { ...DESK, state: "answered" }), OTHER));
  assert.ok(!canPickUp(ringing, null));
});

test("a phone can take the call that rings at it, but not one that it has made, or has on hold", () => {
  assert.ok(canPickUp(callOf(CALLER, DESK), USER));
  const own = { ...CALLER, owner_id: "u1" };
  assert.ok(!canPickUp(callOf(own, { ...DESK, owner_id: "u2" }), USER));
  assert.ok(!canPickUp(callOf({ ...CALLER, state: "held" }, { ...DESK, state: "answered" }), USER));
});

test("commands name the phone", () => {
  assert.deepEqual(interceptData(USER, false), { target_type: "user", target_id: "u1" });
  assert.deepEqual(interceptData(OTHER, true), { target_type: "number", target_id: "2003", auto_answer: true });
  assert.deepEqual(originateData(USER, "2003", false), { from_type: "user", from_id: "u1", to: "2003" });
});
