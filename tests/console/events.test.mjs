import assert from "node:assert/strict";
import { test } from "node:test";

import { EventLog, RATE_WINDOW_S, kindIcon, ownBindings } from "../../kazoo_bridge/console/page/app/events.js";

const frame = (key, data = {}) => ({ subscribed_key: key, routing_key: `${key}.x`, name: "NAME", data });

const CALL = {
  caller_id_name: "Ada",
  caller_id_number: "+15550100",
  callee_id_name: "2001",
  callee_id_number: "2001",
};

test("the newest event comes first, with the name of its kind", () => {
  const log = new EventLog();
  log.add(frame("call.*.*"));
  log.add(frame("fax.status.*"));
  log.add(frame("other.*"));
  assert.deepEqual(
    log.events.map(({ id, kindName, routingKey }) => [id, kindName, routingKey]),
    [
      [3, "other", "other.*.x"],
      [2, "Fax", "fax.status.*.x"],
      [1, "Call", "call.*.*.x"],
    ],
  );
});

test("an event is summarized by its kind", () => {
  const cases = [
    [
      "call.*.*",
      { ...CALL, hangup_cause: "BUSY", parking_slot: "101" },
      "Ada +15550100 → 2001 · BUSY · slot 101",
    ],
    ["notification.*", { ...CALL, to_user: "bea" }, "Ada +15550100 · bea"],
    ["object.*.*", { type: "user", id: "u1" }, "user · u1"],
    ["fax.status.*", { status: "page 1", fax_state: "send" }, "page 1 · send"],
    ["conference.event.*.*", { event: "add-member", conference_id: "c1" }, "add-member · c1"],
    ["other.*", { id: "1" }, ""],
  ];
  for (const [key, data, summary] of cases) {
    const log = new EventLog();
    log.add(frame(key, data));
    assert.equal(log.events[0].summary, summary, key);
  }
});

test("the log is truncated to 1000 events, but not with every event", () => {
  const log = new EventLog();
  for (let count = 0; count < 1200; count += 1) log.add(frame("call.*.*"));
  assert.equal(log.events.length, 1200);
  log.add(frame("call.*.*"));
  assert.equal(log.events.length, 1000);
  assert.equal(log.events[0].id, 1201);
});

test("a gap is marked, and does not count as an event", () => {
  const log = new EventLog();
  log.markGap();
  assert.equal(log.events[0].kind, "gap");
  assert.equal(log.counts.size, 0);
});

test("the rate covers complete seconds, oldest first", () => {
  const realNow = Date.now;
  try {
    let milliseconds = 1_000_000_000_000;
    Date.now = () => milliseconds;
    const log = new EventLog();
    log.add(frame("call.*.*"));
    log.add(frame("call.*.*"));
    assert.deepEqual(new Set(log.perSecond()), new Set([0]));
    milliseconds += 1000;
    assert.equal(log.perSecond().at(-1), 2);
    milliseconds += (RATE_WINDOW_S - 1) * 1000;
    assert.equal(log.perSecond()[0], 2);
    milliseconds += 1000;
    assert.deepEqual(new Set(log.perSecond()), new Set([0]));
    assert.equal(log.counts.size, 0);
  } finally {
    Date.now = realNow;
  }
});

test("every change is announced", () => {
  const log = new EventLog();
  let changes = 0;
  log.addEventListener("change", () => (changes += 1));
  log.add(frame("call.*.*"));
  log.markGap();
  log.clear();
  assert.equal(changes, 3);
  assert.deepEqual(log.events, []);
});

const CATEGORIES = {
  call: ["call.CHANNEL_CREATE.{CALL_ID}"],
  calls: ["calls"],
  presence: ["dialog.{CALL_ID}"],
  weather: ["weather.{CITY}.{DAY}", "storm.warning"],
};

test("the bindings of the categories that only this installation has are subscribed to, for any word", () => {
  assert.deepEqual([...ownBindings(CATEGORIES)], [["weather.*.*", "weather"], ["storm.warning", "weather"]]);
  // Who subscribes to it is asked about calls, which wait for the answer.
  assert.equal(ownBindings({ pivot: ["pivot.{NAME}"] }).size, 0);
  const many = Array.from({ length: 1000 }, (_, index) => `many.${index}`);
  assert.equal(ownBindings({ many }).size, 50);
});

test("an event of such a category has its name as kind, whatever its binding begins with", () => {
  const log = new EventLog();
  let changes = 0;
  log.addEventListener("kinds", () => (changes += 1));
  log.addKinds(ownBindings(CATEGORIES));
  log.add(frame("storm.warning"));
  log.add(frame("call.*.*"));
  assert.deepEqual(log.events.map(({ kind }) => kind), ["call", "weather"]);
  assert.deepEqual(log.kinds.slice(-2), ["conference", "weather"]);
  assert.equal(changes, 1);
  assert.notEqual(kindIcon("call"), kindIcon("weather"));
});

test("counts are bounded without a view that asks for the rate", () => {
  const realNow = Date.now;
  try {
    let milliseconds = 1_000_000_000_000;
    Date.now = () => milliseconds;
    const log = new EventLog();
    for (let second = 0; second < 10 * RATE_WINDOW_S; second += 1) {
      log.add(frame("call.*.*"));
      milliseconds += 1000;
    }
    assert.ok(log.counts.size <= RATE_WINDOW_S + 1);
    assert.deepEqual(new Set(log.perSecond()), new Set([1]));
  } finally {
    Date.now = realNow;
  }
});
