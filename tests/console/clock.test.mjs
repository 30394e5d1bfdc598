import assert from "node:assert/strict";
import { test } from "node:test";

import {
  formatDateTime,
  formatDuration,
  formatRelative,
  formatTime,
  now,
  syncClock,
  toGregorian,
} from "../../kazoo_bridge/console/page/app/clock.js";

const GREGORIAN = 62167219200;

test("times are on the server's clock and formatted in local time", () => {
  const here = new Date();
  syncClock(new Date(here.getTime() + 3600000).toISOString());
  assert.ok(Math.abs(now() - GREGORIAN - (Date.now() / 1000 + 3600)) < 1);
  assert.equal(toGregorian(here), Math.floor((here.getTime() + 3600000) / 1000) + GREGORIAN);
  const shown = new Intl.DateTimeFormat(undefined, {
    hour: "numeric",
    minute: "2-digit",
    second: "2-digit",
  }).format(here);
  assert.equal(formatTime((here.getTime() + 3600000) / 1000 + GREGORIAN), shown);
});

test("a small difference is network latency, and not another clock", () => {
  syncClock(new Date(Date.now() - 1500).toISOString());
  assert.equal(toGregorian(new Date(0)), GREGORIAN);
});

test("an invalid timestamp leaves the clock unchanged", () => {
  syncClock(new Date(Date.now() + 3600000).toISOString());
  const before = toGregorian(new Date(0));
  syncClock(undefined);
  assert.equal(toGregorian(new Date(0)), before);
});

test("durations have hours only if they need them", () => {
  const durations = { "-5": "0:00", 7.9: "0:07", 750: "12:30", 3600: "1:00:00", 3765: "1:02:45" };
  for (const [seconds, text] of Object.entries(durations))
    assert.equal(formatDuration(Number(seconds)), text);
});

test("a missing date is never", () => {
  assert.equal(formatDateTime(null), "never");
  assert.equal(formatDateTime(0), "never");
});

test("a date has its year", () => {
  syncClock(new Date().toISOString());
  assert.match(formatDateTime(toGregorian(new Date(2026, 6, 15))), /2026/);
});

test("a time is shown relative to now, and as a date after a week", () => {
  const format = new Intl.RelativeTimeFormat(undefined, { numeric: "auto", style: "short" });
  const cases = [
    [-5.5, -5, "second"],
    [-125, -2, "minute"],
    [-7300, -2, "hour"],
    [-86400 * 3 - 1, -3, "day"],
    [65.5, 1, "minute"],
  ];
  for (const [seconds, count, unit] of cases) {
    assert.equal(formatRelative(now() + seconds), format.format(count, unit), String(seconds));
  }
  const old = now() - 86400 * 8;
  assert.equal(formatRelative(old), formatDateTime(old));
  assert.equal(formatRelative(0), "never");
  assert.equal(formatRelative(undefined), "never");
});
