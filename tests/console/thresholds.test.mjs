import assert from "node:assert/strict";
import { test } from "node:test";

import { urgency, withThreshold } from "../../kazoo_bridge/console/page/app/thresholds.js";

const THRESHOLDS = { ringing: [15, 30], held: [0, 60], answered: [0, 0] };

test("a call becomes urgent at its thresholds, and never where they are off", () => {
  const levels = (state, ...times) => times.map((seconds) => urgency(state, seconds, THRESHOLDS));
  assert.deepEqual(levels("ringing", 14.9, 15, 30), ["", "warning", "late"]);
  assert.deepEqual(levels("held", 59, 60), ["", "late"]);
  assert.deepEqual(levels("answered", 1e6), [""]);
  assert.deepEqual(levels("ended", 1e6), [""]);
});

test("a changed threshold is a whole number in bounds, and keeps the order of both", () => {
  assert.deepEqual(withThreshold(THRESHOLDS, "ringing", 0, "20.9").ringing, [20, 30]);
  assert.deepEqual(withThreshold(THRESHOLDS, "ringing", 0, "40").ringing, [40, 40]);
  assert.deepEqual(withThreshold(THRESHOLDS, "ringing", 1, "5").ringing, [5, 5]);
  assert.deepEqual(withThreshold(THRESHOLDS, "ringing", 1, "0").ringing, [15, 0]);
  assert.deepEqual(withThreshold(THRESHOLDS, "ringing", 0, "x").ringing, [0, 30]);
  assert.deepEqual(withThreshold(THRESHOLDS, "ringing", 1, "999999").ringing, [15, 86400]);
  assert.deepEqual(THRESHOLDS.ringing, [15, 30]);
});
