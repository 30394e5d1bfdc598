import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { ACTION_KEYS, actionsOf, runAction } from "../../kazoo_bridge/console/page/app/call-actions.js";
import { LiveCalls } from "../../kazoo_bridge/console/page/app/calls.js";

const PHONE = { type: "number", id: "2009", name: "Desk" };

let done;
let recording;
let context;

beforeEach(() => {
  done = [];
  recording = "";
  const log = (name) => (_, ...more) => done.push([name, ...more]);
  const names = ["pickUp", "hold", "resume", "park", "unpark", "complete", "swap", "cancel", "hangup"];
  const commands = Object.fromEntries(names.map((name) => [name, log(name)]));
  commands.record = (_, leg, action) => done.push(["record", leg.call_id, action]);
  commands.otherLeg = (call) => call.legs[0];
  commands.recordings = { of: () => recording };
  context = { commands, settings: { get: (name) => ({ phone: context.phone, autoAnswer: true })[name] }, phone: null };
});

function callIn(state) {
  const calls = new LiveCalls();
  const leg = { call_id: "a", state, direction: "inbound", timestamp: 1, parking_slot: state === "parked" ? "101" : null };
  calls.applyEvent({ name: "snapshot", data: { calls: [leg] } });
  return calls.calls[0];
}
const possible = (state, phone = null, consultation = null) =>
  Object.entries(actionsOf(callIn(state), { phone, consultation }))
    .filter(([, { isPossible, isShown }]) => isPossible && isShown)
    .map(([name]) => name);

test("a call offers what is possible in its state", () => {
  assert.deepEqual(possible("ringing"), ["transfer", "hangup", "more"]);
  assert.deepEqual(possible("answered"), ["hold", "park", "transfer", "hangup", "more"]);
  assert.deepEqual(possible("held", PHONE), ["pickup", "hold", "park", "transfer", "hangup", "more"]);
  assert.deepEqual(possible("parked", PHONE), ["pickup", "park", "transfer", "hangup", "more"]);
  assert.deepEqual(possible("held", PHONE, { isAnswered: true }), ["complete", "swap", "cancel", "hangup", "more"]);
  const ended = { ...callIn("held"), state: "ended" };
  assert.ok(Object.values(actionsOf(ended, { phone: PHONE })).every(({ isPossible }) => !isPossible));
});

test("labels follow the state", () => {
  const labels = (state) => {
    const { hold, park } = actionsOf(callIn(state), { phone: null });
    return [hold.label, park.label];
  };
  assert.deepEqual(["answered", "held", "parked"].map(labels), [
    ["Hold", "Park"],
    ["Resume", "Park"],
    ["Hold", "Retrieve"],
  ]);
});

test("a parked call is retrieved to the operator's phone where there is one", () => {
  runAction("park", callIn("parked"), context);
  context.phone = PHONE;
  runAction("park", callIn("parked"), context);
  runAction("pickup", callIn("ringing"), context);
  assert.deepEqual(done, [["unpark"], ["pickUp", PHONE, true], ["pickUp", PHONE, true]]);
});

test("other actions run, too, and recording starts and stops", () => {
  for (const [name, state] of [["hold", "answered"], ["hold", "held"], ["park", "answered"], ["complete", "held"], ["swap", "held"], ["cancel", "held"], ["hangup", "held"]])
    runAction(name, callIn(state), context);
  runAction("record", callIn("answered"), context);
  recording = "on";
  runAction("record", callIn("answered"), context);
  assert.deepEqual(done, [
    ["hold"],
    ["resume"],
    ["park"],
    ["complete"],
    ["swap"],
    ["cancel"],
    ["hangup"],
    ["record", "a", "start"],
    ["record", "a", "stop"],
  ]);
  assert.equal(runAction("transfer", callIn("held"), context), undefined);
});

test("each key has one action, and none is taken by the copying of numbers", () => {
  assert.equal(new Set(Object.values(ACTION_KEYS)).size, Object.keys(ACTION_KEYS).length);
  assert.ok(!("c" in ACTION_KEYS));
});
