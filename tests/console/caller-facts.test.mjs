import assert from "node:assert/strict";
import { test } from "node:test";

import { callerFacts } from "../../kazoo_bridge/console/page/app/caller-facts.js";
import { now } from "../../kazoo_bridge/console/page/app/clock.js";

const NUMBER = "+4722555019";
const call = (number) => ({ caller: { number }, callee: { number: "2001" } });
const entry = (number, isMissed) => ({ number, isMissed, other: "Ines", ended: now() });
const known = (note, calls = [], recent = []) => ({
  notes: { of: (number) => (number === NUMBER ? note : "") },
  calls: { calls },
  history: { calls: recent },
});

test("the note, other live calls and recent calls of the number are shown", () => {
  const facts = callerFacts(
    NUMBER,
    known("prefers mornings", [call(NUMBER), call(NUMBER), call("1"), { ...call(NUMBER), endedAt: 1 }], [
      entry("1", true),
      entry(NUMBER, false),
      entry(NUMBER, true),
    ]),
  );
  assert.equal(facts.length, 4);
  assert.equal(facts[0], "Note: prefers mornings");
  assert.equal(facts[1], "1 other live call");
  assert.match(facts[2], /^2 recent calls, the last one /);
  assert.equal(facts[3], "Last with Ines");
});

test("a missed call is said, and that there is none", () => {
  assert.equal(callerFacts(NUMBER, known("", [], [entry(NUMBER, true)]))[1], "The last call was missed (Ines)");
  assert.deepEqual(callerFacts(NUMBER, known("", [call(NUMBER)])), ["No recent calls in this tab"]);
  assert.deepEqual(callerFacts("", known("")), []);
});
