import assert from "node:assert/strict";
import { test } from "node:test";

import { barAt, barPaths, countTicks, timeTicks } from "../../kazoo_bridge/console/page/app/chart-scale.js";

test("the scale ends at a round number close to the largest value", () => {
  assert.deepEqual(countTicks(0), [0, 1]);
  assert.deepEqual(countTicks(1), [0, 1]);
  assert.deepEqual(countTicks(3), [0, 1, 2, 3]);
  assert.deepEqual(countTicks(7), [0, 4, 8]);
  assert.deepEqual(countTicks(103), [0, 50, 100, 150]);
  assert.deepEqual(countTicks(240), [0, 100, 200, 300]);
  for (let max = 1; max < 2000; max += 1) {
    const ticks = countTicks(max);
    assert.ok(ticks.at(-1) >= max && ticks.at(-1) <= 2 * max, `${max}: ${ticks}`);
    assert.ok(ticks.every(Number.isInteger), `${max}: ${ticks}`);
  }
});

test("labels of the time axis are round, and as many as there is space for", () => {
  assert.deepEqual(timeTicks(120, 600), [120, 105, 90, 75, 60, 45, 30, 15]);
  assert.deepEqual(timeTicks(120, 300), [120, 90, 60, 30]);
  assert.deepEqual(timeTicks(300, 150), [300]);
  assert.deepEqual(timeTicks(300, 10), [300]);
});

test("bars are stacked in the order of their series", () => {
  const [first, second] = barPaths([[1, 0], [1, 2]], 4, 20, 40);
  assert.equal(first, "M0.00 40.00v-10.00h9.00v10.00z");
  assert.equal(second, "M0.00 30.00v-10.00h9.00v10.00zM10.00 40.00v-20.00h9.00v20.00z");
});

test("a position is that of a bar, and at the edges of the first and the last", () => {
  assert.deepEqual([-5, 0, 49, 50, 99, 400].map((x) => barAt(x, 100, 2)), [0, 0, 0, 1, 1, 1]);
});
