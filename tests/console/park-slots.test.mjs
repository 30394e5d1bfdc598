import assert from "node:assert/strict";
import { test } from "node:test";

import { freeSlots, parseRanges, slotsOf } from "../../kazoo_bridge/console/page/app/park-slots.js";

test("slots are listed one by one and as ranges", () => {
  assert.deepEqual(parseRanges("101-103, 110;*4 07-09"), ["101", "102", "103", "110", "*4", "07", "08", "09"]);
  assert.deepEqual(parseRanges(" "), []);
  assert.deepEqual(parseRanges("9-3 1-2-3"), ["9-3", "1-2-3"]);
  assert.equal(parseRanges("1-150 1001-1150").length, 200);
  assert.deepEqual(parseRanges("1-999999999"), ["1-999999999"]);
});

test("slots show who is in them, and calls in unlisted or unknown slots show, too", () => {
  const parked = (id, slot) => ({ id, slot, state: "parked" });
  const calls = [parked("a", "102"), parked("b", null), parked("c", "9"), { id: "d", slot: null, state: "held" }];
  const shown = slotsOf(calls, ["101", "102"]).map(({ slot, call }) => [slot, call?.id ?? null]);
  assert.deepEqual(shown, [
    ["9", "c"],
    ["101", null],
    ["102", "a"],
    [null, "b"],
  ]);
  assert.deepEqual(freeSlots(calls, ["101", "102", "103"]), ["101", "103"]);
});
