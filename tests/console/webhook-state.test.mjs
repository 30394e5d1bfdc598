import assert from "node:assert/strict";
import { test } from "node:test";

import { now } from "../../kazoo_bridge/console/page/app/clock.js";
import {
  byAttention,
  failedCount,
  fitsHookSearch,
  formatShare,
  successShare,
  waitingReason,
  webhookState,
} from "../../kazoo_bridge/console/page/app/webhook-state.js";

const FAILED = { enabled: false, disable_reason: "too many failed attempts" };

test("a webhook that sends is enabled, or failing", () => {
  assert.deepEqual(webhookState({}), { label: "Enabled", kind: "success", detail: "" });
  assert.equal(webhookState({ enabled: true, health: { failures_in_window: 1 } }).kind, "warning");
  assert.equal(webhookState({ health: { events_missed: 3 } }).detail, "3 missed");
  assert.equal(waitingReason({}), "");
});

test("a disabled webhook is red, whatever the reason", () => {
  assert.deepEqual(webhookState({ enabled: false }), { label: "Disabled", kind: "error", detail: "" });
  assert.deepEqual(webhookState({ ...FAILED, health: { events_missed: 3 } }), {
    label: "Disabled",
    kind: "error",
    detail: "too many failed attempts; 3 missed",
  });
  assert.match(waitingReason(FAILED), /disabled, so what waits is not sent/);
});

test("a suspended webhook shows what waits, and when it is probed", () => {
  const health = { deliveries_waiting: 12, events_missed: 3, next_probe: now() + 25.5 };
  const suspended = { ...FAILED, health };
  assert.deepEqual(webhookState(suspended), {
    label: "Suspended",
    kind: "error",
    detail: "its receiver fails; 12 events wait, next probe in 0:25, 3 missed",
  });
  assert.match(waitingReason(suspended), /suspended because its receiver fails/);
  const due = { ...FAILED, health: { next_probe: now() - 1, deliveries_waiting: 1 } };
  assert.equal(webhookState(due).detail, "its receiver fails; 1 event waits, probed now");
});

test("a webhook that a person has disabled is not suspended", () => {
  assert.equal(webhookState({ enabled: false, health: { next_probe: now() + 25 } }).label, "Disabled");
  assert.equal(webhookState({ ...FAILED, health: { next_probe: "soon" } }).label, "Disabled");
});

test("webhooks that the server has disabled are counted, others are not", () => {
  assert.equal(failedCount(null), 0);
  assert.equal(failedCount([FAILED, { enabled: false }, {}, { ...FAILED, health: { next_probe: 1 } }]), 2);
  // The reason stays after the webhook was enabled again.
  assert.equal(failedCount([{ ...FAILED, enabled: true }]), 0);
});

test("webhooks that need attention come first, those that the user has disabled last", () => {
  const hooks = [
    { id: "1", name: "off", enabled: false },
    { id: "2", name: "b" },
    { id: "3", name: "a" },
    { id: "4", name: "down", enabled: false, disable_reason: "too many failed attempts" },
    { id: "5", name: "failing", health: { failures_in_window: 1 } },
  ];
  assert.deepEqual(byAttention(hooks).map(({ name }) => name), ["down", "failing", "a", "b", "off"]);
  assert.equal(hooks[0].name, "off");
});

test("a search is for all words, in name, event, URL and id", () => {
  const hook = { id: "abc", name: "Front Desk", hook: "channel_create", uri: "https://example.com/hooks" };
  for (const search of ["", "desk front", "CHANNEL example", "abc"]) assert.ok(fitsHookSearch(hook, search), search);
  assert.ok(!fitsHookSearch(hook, "desk back"));
});

test("a share is 0 or 100 % only if nothing or everything succeeded", () => {
  assert.equal(successShare({}), null);
  const texts = [[0, 9], [1, 9999], [1, 2], [9999, 1], [9, 0]].map(([successes, failures]) =>
    formatShare(successShare({ successes, failures })),
  );
  assert.deepEqual(texts, ["0 %", "1 %", "33 %", "99 %", "100 %"]);
});
