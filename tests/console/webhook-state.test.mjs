import assert from "node:assert/strict";
import { test } from "node:test";

import { now } from "../../kazoo_bridge/console/page/app/clock.js";
import { failedCount, waitingReason, webhookState } from "../../kazoo_bridge/console/page/app/webhook-state.js";

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
