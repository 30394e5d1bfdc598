import assert from "node:assert/strict";
import { test } from "node:test";

import { HISTORY_LENGTH, WebhookPoller } from "../../kazoo_bridge/console/page/app/webhooks.js";

/** A REST client whose webhooks are `hooks`, by id, with [successes, failures]. */
function fakeRest(hooks) {
  const rest = {
    hooks,
    requests: 0,
    get: async (path) => {
      rest.requests += 1;
      if (rest.error) throw rest.error;
      const entries = Object.entries(rest.hooks);
      return path.endsWith("/health")
        ? entries.map(([id, [successes, failures]]) => ({ id, successes, failures }))
        : entries.map(([id]) => ({ id, name: `hook ${id}` }));
    },
  };
  return rest;
}

test("webhooks are combined with their health", async () => {
  const poller = new WebhookPoller(fakeRest({ a: [1, 2] }), "acc/1");
  assert.equal(poller.path("a", "test"), "accounts/acc%2F1/webhooks/a/test");
  assert.equal(poller.hooks, null);
  await poller.refresh();
  assert.deepEqual(poller.hooks, [{ id: "a", name: "hook a", health: { successes: 1, failures: 2 } }]);
});

test("the history has the increase of the counters between polls, oldest first", async () => {
  const rest = fakeRest({ a: [10, 5], b: [1, 1] });
  const poller = new WebhookPoller(rest, "acc");
  await poller.refresh();
  assert.deepEqual(new Set(poller.history("successes")), new Set([0]));
  rest.hooks = { a: [13, 5], b: [2, 3] };
  await poller.refresh();
  // Counters of "b" were reset, and "c" is new: neither counts.
  rest.hooks = { a: [14, 5], b: [0, 0], c: [7, 7] };
  await poller.refresh();
  assert.equal(poller.history("successes").length, HISTORY_LENGTH);
  assert.deepEqual(poller.history("successes").slice(-3), [0, 4, 1]);
  assert.deepEqual(poller.history("failures").slice(-3), [0, 2, 0]);
});

test("the history is limited", async () => {
  const poller = new WebhookPoller(fakeRest({}), "acc");
  for (let poll = 0; poll < HISTORY_LENGTH + 5; poll += 1) await poller.refresh();
  assert.equal(poller.history("failures").length, HISTORY_LENGTH);
});

test("a failed poll keeps the webhooks and has an error until the next success", async () => {
  const rest = fakeRest({ a: [0, 0] });
  const poller = new WebhookPoller(rest, "acc");
  await poller.refresh();
  rest.error = new Error("the server is unreachable");
  await poller.refresh();
  assert.equal(poller.error, "the server is unreachable");
  assert.equal(poller.hooks.length, 1);
  rest.error = null;
  await poller.refresh();
  assert.equal(poller.error, "");
});

test("refreshes during a poll cause one more poll after it", async () => {
  const rest = fakeRest({});
  const poller = new WebhookPoller(rest, "acc");
  const secondPoll = new Promise((resolve) => {
    let changes = 0;
    poller.addEventListener("change", () => {
      changes += 1;
      if (changes === 2) resolve();
    });
  });
  const refreshes = [poller.refresh(), poller.refresh(), poller.refresh()];
  await Promise.all(refreshes);
  await secondPoll;
  assert.equal(rest.requests, 4);
});

test("a stopped poller ignores responses", async () => {
  const poller = new WebhookPoller(fakeRest({ a: [0, 0] }), "acc");
  const refresh = poller.refresh();
  poller.stop();
  await refresh;
  assert.equal(poller.hooks, null);
});

test("a started poller polls at once and at every interval while the page is visible", async () => {
  const intervals = [];
  globalThis.setInterval = (callback, delayMs) => intervals.push({ callback, delayMs });
  globalThis.document = { visibilityState: "visible" };
  const rest = fakeRest({});
  const poller = new WebhookPoller(rest, "acc");
  const nextChange = () =>
    new Promise((resolve) => poller.addEventListener("change", resolve, { once: true }));
  let change = nextChange();
  poller.start();
  await change;
  assert.equal(rest.requests, 2);
  const [{ callback, delayMs }] = intervals;
  assert.equal(delayMs, 5000);
  change = nextChange();
  callback();
  await change;
  assert.equal(rest.requests, 4);
  document.visibilityState = "hidden";
  callback();
  assert.equal(rest.requests, 4);
});
