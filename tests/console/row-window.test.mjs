import assert from "node:assert/strict";
import { test } from "node:test";

import { MAX_WHOLE_LIST, rangeInSight, windowOf } from "../../kazoo_bridge/console/page/app/row-window.js";

const list = (length) => Array.from({ length }, (_, index) => ({ id: `i${index}` }));
const idsOf = (shown) => shown.map(({ id, gap }) => (gap ? `${gap} missing` : id));

test("the range covers what is in sight, with some more, in steps", () => {
  assert.deepEqual(rangeInSight(100, 900, 50), [0, 32]);
  assert.deepEqual(rangeInSight(-5000, 900, 50), [88, 136]);
  assert.deepEqual(rangeInSight(-5001, 900, 50), rangeInSight(-5049, 900, 50));
  const [first, end] = rangeInSight(-5000, 900, 50);
  assert.ok(first <= 100 && end >= 118);
  assert.deepEqual(rangeInSight(2000, 900, 50), [0, 0]);
});

test("a list that is not long is shown as a whole", () => {
  const items = list(MAX_WHOLE_LIST);
  assert.equal(windowOf(items, [0, 10], () => false), items);
});

test("of a long list the range is shown, and what is kept, with gaps of the number of other items", () => {
  const items = list(500);
  const shown = windowOf(items, [100, 103], (_, index) => [0, 110, 499].includes(index));
  assert.deepEqual(idsOf(shown), ["i0", "99 missing", "i100", "i101", "i102", "7 missing", "i110", "388 missing", "i499"]);
  assert.equal(shown.reduce((sum, { gap = 1 }) => sum + gap, 0), 500);
  assert.deepEqual(shown.filter(({ gap }) => !gap).map(({ index }) => index), [0, 100, 101, 102, 110, 499]);
  assert.equal(new Set(shown.map(({ id }) => id)).size, shown.length);
  assert.deepEqual(idsOf(windowOf(items, [0, 2], () => false)), ["i0", "i1", "498 missing"]);
});
