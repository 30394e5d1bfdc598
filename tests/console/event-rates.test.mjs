import assert from "node:assert/strict";
import { test } from "node:test";

import { EventRates } from "../../kazoo_bridge/console/page/app/event-rates.js";

const socket = (id, events) => ({ websocket_session_id: id, events });

test("a rate is known from the second count, and forgotten with its socket", () => {
  const rates = new EventRates();
  rates.update([socket("a", 100), socket("b", 5), { websocket_session_id: "of KAZOO" }], 50);
  assert.deepEqual([rates.of("a"), rates.of("b"), rates.of("of KAZOO")], [null, null, null]);
  rates.update([socket("a", 150), socket("b", 5)], 60);
  assert.deepEqual([rates.of("a"), rates.of("b")], [5, 0]);
  rates.update([socket("b", 6)], 70);
  assert.deepEqual([rates.of("a"), rates.of("b")], [null, 0.1]);
  assert.equal(rates.counts.size, 1);
});

test("lists in quick succession keep the rate, and a new socket of the same address begins anew", () => {
  const rates = new EventRates();
  rates.update([socket("a", 0)], 0);
  rates.update([socket("a", 20)], 10);
  rates.update([socket("a", 21)], 11);
  assert.equal(rates.of("a"), 2);
  rates.update([socket("a", 60)], 20);
  assert.equal(rates.of("a"), 4);
  rates.update([socket("a", 3)], 30);
  assert.equal(rates.of("a"), null);
});
