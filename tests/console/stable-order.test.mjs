import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";

import { StableOrder } from "../../kazoo_bridge/console/page/app/stable-order.js";

const realNow = Date.now;
let milliseconds;
let list;
let order;
let released;

beforeEach(() => {
  milliseconds = 1_000_000;
  Date.now = () => milliseconds;
  released = 0;
  list = new EventTarget();
  order = new StableOrder(
    ({ id }) => id,
    (item) => ({ ...item, state: "gone" }),
  );
  order.watch(list, () => (released += 1));
});

afterEach(() => {
  Date.now = realNow;
});

const items = (ids) => [...ids].map((id) => ({ id }));
const arrange = (ids, known) => {
  const shown = order.arrange(items(ids), known && items(known));
  return shown.map(({ id, state }) => (state === "gone" ? `-${id}` : id)).join("");
};
const fire = (type) => list.dispatchEvent(new Event(type));

test("items are shown as they are given until the list is used", () => {
  assert.equal(arrange("abc"), "abc");
  assert.equal(arrange("cab"), "cab");
  assert.equal(arrange("b"), "b");
});

test("below the pointer, rows stay where they are: new ones come last, ended ones keep their place", () => {
  arrange("abc");
  fire("pointermove");
  assert.equal(arrange("cnab"), "abcn");
  assert.equal(arrange("cn"), "-a-bcn");
  assert.equal(arrange("nca"), "a-bcn");
  fire("pointerleave");
  assert.equal(released, 1);
  assert.equal(arrange("nca"), "nca");
});

test("an item that no longer fits the filter keeps its place as it is now", () => {
  arrange("abc");
  fire("pointerenter");
  assert.equal(arrange("ac", "abc"), "abc");
});

test("a key keeps the order, but not what has ended", () => {
  arrange("abc");
  fire("keydown");
  assert.equal(arrange("nca"), "acn");
});

test("another choice of items puts the list in order at once", () => {
  arrange("abc");
  fire("pointermove");
  fire("keydown");
  order.release();
  assert.equal(arrange("ca"), "ca");
});

test("a pointer at rest holds the list for five seconds", () => {
  arrange("abc");
  fire("pointermove");
  milliseconds += 4900;
  assert.equal(arrange("cba"), "abc");
  milliseconds += 100;
  assert.equal(arrange("cba"), "cba");
});
