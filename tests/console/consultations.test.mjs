import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { LiveCalls } from "../../kazoo_bridge/console/page/app/calls.js";
import { Consultations } from "../../kazoo_bridge/console/page/app/consultations.js";

const leg = (id, state, at, more = {}) => ({
  call_id: id,
  state,
  direction: at === 1 ? "inbound" : "outbound",
  timestamp: at,
  other_leg_call_id: at === 1 ? "agent" : "waiting",
  ...more,
});
const WAITING = leg("waiting", "answered", 1);
const AGENT = leg("agent", "answered", 2);
const TARGET = leg("target", "ringing", 3);

let calls;
let consultations;

beforeEach(() => {
  calls = new LiveCalls();
  consultations = new Consultations(calls);
});

function show(...legs) {
  calls.applyEvent({ name: "snapshot", data: { calls: legs } });
  return calls.calls[0];
}

test("a consultation shows as soon as the target has a leg, and whether it has answered", () => {
  const call = show(WAITING, AGENT);
  consultations.begin(call, AGENT, WAITING);
  assert.equal(consultations.of(call), null);
  const rings = consultations.of(show({ ...WAITING, state: "held" }, AGENT, TARGET));
  assert.deepEqual([rings.agent.call_id, rings.waiting.call_id, rings.target.call_id], ["agent", "waiting", "target"]);
  assert.equal(rings.isAnswered, false);
  assert.equal(consultations.of(show(WAITING, AGENT, { ...TARGET, state: "answered" })).isAnswered, true);
});

test("it is over when one of the three has left", () => {
  consultations.begin(show(WAITING, AGENT), AGENT, WAITING);
  assert.equal(consultations.of(show(WAITING, TARGET)), null);
  assert.equal(consultations.of(show(WAITING, AGENT)), null);
  assert.equal(consultations.of(show(AGENT, TARGET)), null);
  assert.equal(consultations.of({ ...show(WAITING, AGENT, TARGET), endedAt: 1 }), null);
});

test("consultations of ended calls are forgotten when another begins", () => {
  consultations.begin(show(WAITING, AGENT), AGENT, WAITING);
  const call = show(leg("w", "answered", 1), leg("a", "answered", 2, { other_leg_call_id: "w" }));
  let changes = 0;
  consultations.addEventListener("change", () => (changes += 1));
  consultations.begin(call, call.legs[1], call.legs[0]);
  assert.deepEqual([...consultations.begun.keys()], ["a"]);
  assert.equal(changes, 1);
});

test("it also shows from the legs alone, for example after a reload of the page", () => {
  const waiting = { ...WAITING, state: "held" };
  const target = { ...TARGET, state: "answered", other_leg_call_id: "agent" };
  const shown = consultations.of(show(waiting, { ...AGENT, other_leg_call_id: "target" }, target));
  assert.deepEqual(
    [shown.agent.call_id, shown.waiting.call_id, shown.target.call_id, shown.isSwapped],
    ["agent", "waiting", "target", false],
  );
  // Three phones that ring for one caller are no consultation.
  const ringing = ["x", "y"].map((id) => leg(id, "ringing", 2));
  assert.equal(consultations.of(show({ ...WAITING, other_leg_call_id: "x" }, ...ringing)), null);
});

test("after a swap the target waits", () => {
  consultations.begin(show(WAITING, AGENT), AGENT, WAITING);
  assert.equal(consultations.of(show(WAITING, AGENT, { ...TARGET, state: "held" })).isSwapped, true);
});
