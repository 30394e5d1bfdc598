/** Two clocks that disagree. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { learnTime, now, timeOfDay, toGregorian } from "../../kazoo_bridge/console/page/app/clock.js";

const GREGORIAN = 62167219200;

test("times are of the server's clock, and shown as this machine has them", () => {
  const here = new Date();
  learnTime(new Date(here.getTime() + 3600000).toISOString());
  assert.ok(Math.abs(now() - GREGORIAN - (Date.now() / 1000 + 3600)) < 1);
  assert.equal(toGregorian(here), Math.floor((here.getTime() + 3600000) / 1000) + GREGORIAN);
  const shown = new Intl.DateTimeFormat(undefined, {
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
    hourCycle: "h23",
  }).format(here);
  assert.equal(timeOfDay((here.getTime() + 3600000) / 1000 + GREGORIAN), shown);
});

test("what may be the way of the answer is not taken for another clock", () => {
  learnTime(new Date(Date.now() - 1500).toISOString());
  assert.equal(toGregorian(new Date(0)), GREGORIAN);
});
