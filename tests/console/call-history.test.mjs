import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { CallHistory } from "../../kazoo_bridge/console/page/app/call-history.js";
import { CallStates } from "../../kazoo_bridge/console/page/app/call-states.js";
import { LiveCalls } from "../../kazoo_bridge/console/page/app/calls.js";
import { OperatorSettings } from "../../kazoo_bridge/console/page/app/operator-settings.js";
import { FakeStorage, installStorage } from "./fake-storage.mjs";

let calls;
let states;
let settings;
let storage;
let history;

beforeEach(() => {
  installStorage();
  calls = new LiveCalls();
  states = new CallStates(calls, new FakeStorage());
  settings = new OperatorSettings("account");
  storage = new FakeStorage();
  history = new CallHistory("account", states, settings, storage);
  apply("snapshot", []);
});

const CALLER = {
  call_id: "a",
  state: "ringing",
  direction: "inbound",
  timestamp: 63961574400,
  caller_id_name: "Ada",
  caller_id_number: "+15550100",
};
const DESK = {
  call_id: "b",
  state: "ringing",
  direction: "outbound",
  timestamp: 63961574401,
  callee_id_name: "Desk",
  callee_id_number: "2001",
  owner_id: "u",
  other_leg_call_id: "a",
};
const answered = (leg) => ({ ...leg, state: "answered" });

function apply(name, legs, ids = []) {
  calls.applyEvent({ name, data: { calls: legs, call_ids: ids } });
  states.update();
}
const play = (...steps) => {
  for (const legs of steps) apply("changed", legs);
  apply("removed", [], [...calls.legs.keys()]);
};

test("a call from outside that was never connected is missed, one that was connected is not", () => {
  play([CALLER, DESK]);
  play([CALLER, DESK], [answered(CALLER), answered(DESK)]);
  const shown = history.calls.map(({ name, number, other, isMissed }) => [name, number, other, isMissed]);
  assert.deepEqual(shown, [
    ["Ada", "+15550100", "Desk", false],
    ["Ada", "+15550100", "Desk", true],
  ]);
});

test("a call that only a voicemail box has answered is missed", () => {
  apply("changed", [CALLER, DESK]);
  apply("removed", [answered(CALLER)], ["b"]);
  play([answered(CALLER)]);
  assert.equal(history.calls[0].isMissed, true);
});

test("a call between colleagues is missed if it rang at the operator's phone", () => {
  const colleague = { ...CALLER, caller_id_number: "2005", owner_id: "v" };
  play([colleague, DESK]);
  assert.equal(history.calls[0].isMissed, false);
  settings.set("phone", { type: "user", id: "u", name: "Desk" });
  play([colleague, DESK]);
  assert.deepEqual([history.calls[0].isMissed, history.calls[0].number], [true, "2005"]);
  settings.set("phone", { type: "user", id: "v", name: "Me" });
  play([colleague, DESK]);
  assert.deepEqual([history.calls[0].isMissed, history.calls[0].number], [false, "2001"]);
});

test("of a call to outside, the party to call back is the one that was called", () => {
  const own = { ...CALLER, owner_id: "u", caller_id_number: "2001", callee_id_number: "+15550111" };
  play([own]);
  const { direction, number, isMissed } = history.calls[0];
  assert.deepEqual([direction, number, isMissed], ["outbound", "+15550111", false]);
});

test("missed calls count until they have been seen, and the list stays over a reload, for its account", () => {
  play([CALLER, DESK]);
  assert.equal(history.unseen, 1);
  history.markSeen();
  assert.equal(history.unseen, 0);
  const again = (account) => {
    history.saving.flush();
    return new CallHistory(account, states, settings, storage).calls.length;
  };
  assert.deepEqual([again("account"), again("other")], [1, 0]);
  history.clear();
  assert.equal(again("account"), 0);
});

test("the list is bounded, and works without a storage", () => {
  storage.isFull = true;
  for (let count = 0; count < 201; count += 1) play([CALLER]);
  assert.equal(history.calls.length, 200);
  storage.setItem = () => {};
  storage.items.set("kazoo-bridge-console.history", '{"account": "account", "calls": 5}');
  assert.deepEqual(new CallHistory("account", states, settings, storage).calls, []);
});
