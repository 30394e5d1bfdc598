import assert from "node:assert/strict";
import { test } from "node:test";

import { Recordings } from "../../kazoo_bridge/console/page/app/recordings.js";

const call = (...ids) => ({ allLegs: ids.map((id) => ({ call_id: id })) });
const event = (name, id) => ({ name, data: { call_id: id } });

test("a call is recorded when the switch was asked for it, until it was asked to stop", () => {
  const recordings = new Recordings();
  const asked = ["start", "mask", "unmask", "stop"].map((action) => {
    recordings.asked({ call_id: "b" }, action);
    return recordings.of(call("a", "b"));
  });
  assert.deepEqual(asked, ["on", "masked", "on", ""]);
});

test("events of the switch tell, too, and the end of a leg ends its recording", () => {
  const recordings = new Recordings();
  let changes = 0;
  recordings.addEventListener("change", () => (changes += 1));
  recordings.onEvent(event("RECORD_START", "a"));
  assert.equal(recordings.of(call("a")), "on");
  recordings.onEvent(event("CHANNEL_DESTROY", "other"));
  assert.equal(changes, 1);
  recordings.onEvent(event("CHANNEL_DESTROY", "a"));
  assert.equal(recordings.of(call("a")), "");
  recordings.onEvent(event("RECORD_START", "a"));
  recordings.onEvent(event("RECORD_STOP", "a"));
  assert.equal(recordings.of(call("a")), "");
});

test("recordings are bounded", () => {
  const recordings = new Recordings();
  for (let id = 0; id <= 1000; id += 1) recordings.onEvent(event("RECORD_START", `${id}`));
  assert.equal(recordings.legs.size, 1000);
  assert.equal(recordings.of(call("0")), "");
});

test("a recording that the server reports shows, also one that began elsewhere", () => {
  const recordings = new Recordings();
  const recorded = { allLegs: [{ call_id: "a" }, { call_id: "b", recording: true }] };
  assert.equal(recordings.of(recorded), "on");
  recordings.asked({ call_id: "b" }, "mask");
  assert.equal(recordings.of(recorded), "masked");
});
