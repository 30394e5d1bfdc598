import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";

import { RingAlerts } from "../../kazoo_bridge/console/page/app/alerts.js";
import { CallStates } from "../../kazoo_bridge/console/page/app/call-states.js";
import { LiveCalls } from "../../kazoo_bridge/console/page/app/calls.js";
import { OperatorSettings } from "../../kazoo_bridge/console/page/app/operator-settings.js";
import { FakeStorage, installStorage } from "./fake-storage.mjs";

const realNow = Date.now;
let milliseconds;
let calls;
let states;
let settings;
let alerts;
let seen;

beforeEach(() => {
  installStorage();
  milliseconds = 1_800_000_000_000;
  Date.now = () => milliseconds;
  calls = new LiveCalls();
  states = new CallStates(calls, new FakeStorage());
  settings = new OperatorSettings("account");
  seen = [];
  alerts = new RingAlerts(calls, states, settings, {
    setCount: (count) => seen.push(count),
    sound: () => seen.push("sound"),
    show: (title, body, tag) => {
      seen.push(`${title}: ${body}`);
      return { close: () => seen.push(`close ${tag}`) };
    },
  });
});

afterEach(() => {
  Date.now = realNow;
});

const inbound = (id, more = {}) => ({
  call_id: id,
  state: "ringing",
  direction: "inbound",
  timestamp: 1,
  caller_id_name: "Ada",
  caller_id_number: "+15550100",
  callee_id_number: "2001",
  ...more,
});
const take = () => seen.splice(0);
function show(...legs) {
  calls.applyEvent({ name: "snapshot", data: { calls: legs } });
  states.update();
}

test("ringing calls count, those that ring outside do not", () => {
  show(inbound("a"), inbound("b", { state: "answered" }), inbound("c", { owner_id: "u", callee_id_number: "+15550111" }));
  assert.deepEqual(take(), [1]);
  show();
  assert.deepEqual(take(), [0]);
});

test("the sound plays at once for each call, and repeats while one rings", () => {
  settings.set("sound", true);
  take();
  show(inbound("a"));
  assert.deepEqual(take(), [1, "sound"]);
  milliseconds += 4000;
  alerts.tick();
  assert.deepEqual(take(), []);
  show(inbound("a"), inbound("b"));
  assert.deepEqual(take(), [2, "sound"]);
  milliseconds += 5000;
  alerts.tick();
  assert.deepEqual(take(), ["sound"]);
  show();
  milliseconds += 9000;
  alerts.tick();
  assert.deepEqual(take(), [0]);
});

test("a notification shows once for a call, and goes when it no longer rings", () => {
  settings.set("notifications", true);
  take();
  show(inbound("a"));
  show(inbound("a", { caller_id_name: "Ada B" }));
  assert.deepEqual(take(), ["Ada (+15550100) calls: Ada (+15550100) to 2001", 1, 1]);
  show(inbound("a", { state: "answered" }));
  assert.deepEqual(take(), ["close a", 0]);
});

test("on request only calls that ring at the operator's phone count", () => {
  settings.set("phone", { type: "user", id: "u", name: "Desk" });
  settings.set("alertFor", "mine");
  take();
  const phone = inbound("p", { direction: "outbound", timestamp: 2, owner_id: "u", other_leg_call_id: "a" });
  show(inbound("a"), phone, inbound("b"));
  assert.deepEqual(take(), [1]);
  show(inbound("a", { owner_id: "u", callee_id_number: "2002" }));
  assert.deepEqual(take(), [0]);
});

test("nothing shows after the page", () => {
  settings.set("notifications", true);
  show(inbound("a"));
  take();
  alerts.dispose();
  assert.deepEqual(take(), ["close a", 0]);
  show(inbound("b"));
  assert.deepEqual(take(), []);
});
