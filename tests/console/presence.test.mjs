import assert from "node:assert/strict";
import { test } from "node:test";

import { Presence, isPresence } from "../../kazoo_bridge/console/page/app/presence.js";

const event = (number, id, state) => ({ data: { presence_id: `${number}@example.com`, call_id: id, state } });

test("only events of dialogs and updates are of presence", () => {
  const keys = ["dialog.*", "update.*", "call.*.*", "calls", "mwi_updates.*"];
  assert.deepEqual(keys.filter((key) => isPresence({ subscribed_key: key })), ["dialog.*", "update.*"]);
});

test("of several dialogs of a number the connected one counts, and each ends on its own", () => {
  const presence = new Presence();
  presence.onEvent(event("2001", "a", "confirmed"));
  presence.onEvent(event("2001", "b", "early"));
  assert.deepEqual([...presence.states()], [["2001", "talking"]]);
  presence.onEvent(event("2001", "a", "terminated"));
  assert.deepEqual([...presence.states()], [["2001", "ringing"]]);
});

test("a dialog that never ends is forgotten, and dialogs are bounded", () => {
  const realNow = Date.now;
  const presence = new Presence();
  for (let id = 0; id <= 5000; id += 1) presence.onEvent(event(id, `${id}`, "early"));
  assert.equal(presence.dialogs.size, 5000);
  try {
    Date.now = () => realNow() + 4 * 3600 * 1000 + 1000;
    assert.equal(presence.states().size, 0);
  } finally {
    Date.now = realNow;
  }
});

test("an event without a number or with an unknown state says nothing", () => {
  const presence = new Presence();
  assert.equal(presence.onEvent({ data: { state: "early" } }), false);
  assert.equal(presence.onEvent(event("2001", "a", "new")), false);
});

test("a telephone that is offline is so until it is online, and a call counts more", () => {
  const presence = new Presence();
  presence.onEvent(event("2001", "device", "offline"));
  assert.deepEqual([...presence.states()], [["2001", "offline"]]);
  presence.onEvent(event("2001", "a", "early"));
  assert.deepEqual([...presence.states()], [["2001", "ringing"]]);
  presence.onEvent(event("2001", "a", "terminated"));
  assert.deepEqual([...presence.states()], [["2001", "offline"]]);
  presence.onEvent(event("2001", "device", "online"));
  assert.equal(presence.states().size, 0);
});

test("an offline telephone stays so for longer than any call", () => {
  const realNow = Date.now;
  const presence = new Presence();
  presence.onEvent(event("2001", "device", "offline"));
  try {
    Date.now = () => realNow() + 12 * 3600 * 1000;
    assert.deepEqual([...presence.states()], [["2001", "offline"]]);
  } finally {
    Date.now = realNow;
  }
});
