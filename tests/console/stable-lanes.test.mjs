import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";

import { StableLanes } from "../../kazoo_bridge/console/page/app/stable-lanes.js";

const realNow = Date.now;
let milliseconds;
let list;
let order;
let released;
let lane;

beforeEach(() => {
  milliseconds = 1_000_000;
  Date.now = () => milliseconds;
  released = 0;
  lane = "two";
  list = new EventTarget();
  order = new StableLanes();
  order.watch(
    list,
    () => lane,
    () => (released += 1),
  );
});

afterEach(() => {
  Date.now = realNow;
});

const calls = (ids) => [...ids].map((id) => ({ id, state: "held" }));
/** Arrange lanes, each a text of ids; "-" marks a call that has ended. */
const arrange = (texts, known = texts.join("")) => {
  const lanes = texts.map((text, at) => ({ lane: ["one", "two", "three"][at], calls: calls(text) }));
  return order
    .arrange(lanes, calls(known))
    .map((shown) => shown.calls.map(({ id, state }) => (state === "ended" ? `-${id}` : id)).join(""));
};
const fire = (type) => list.dispatchEvent(new Event(type));

test("calls are shown as they are given until the list is used", () => {
  assert.deepEqual(arrange(["ab", "c", ""]), ["ab", "c", ""]);
  assert.deepEqual(arrange(["ba", "", "c"]), ["ba", "", "c"]);
});

test("below the pointer nothing moves: new calls wait above, come last here, and are free below", () => {
  arrange(["a", "bc", "de"]);
  fire("pointermove");
  assert.deepEqual(arrange(["na", "mcb", "oed"]), ["a", "bcm", "oed"]);
  assert.deepEqual(arrange(["n", "mc", "e"]), ["-a", "-bcm", "e"]);
  fire("pointerleave");
  assert.equal(released, 1);
  assert.deepEqual(arrange(["n", "mc", "e"]), ["n", "mc", "e"]);
});

test("a call that changes its lane stays where the pointer may be, and shows once", () => {
  arrange(["a", "bc", "d"]);
  fire("pointerenter");
  assert.deepEqual(arrange(["ab", "d", "c"]), ["a", "bcd", ""]);
});

test("a call that no longer fits the filter keeps its place as it is now", () => {
  arrange(["a", "bc", ""]);
  fire("pointerenter");
  assert.deepEqual(arrange(["a", "c", ""], "abc"), ["a", "bc", ""]);
});

test("a key keeps the order, but not what has ended", () => {
  arrange(["a", "bc", ""]);
  fire("keydown");
  assert.deepEqual(arrange(["a", "nc", ""]), ["a", "cn", ""]);
});

test("another choice of calls puts the list in order at once", () => {
  arrange(["", "abc", ""]);
  fire("pointermove");
  fire("keydown");
  order.release();
  assert.deepEqual(arrange(["", "ca", ""]), ["", "ca", ""]);
});

test("a pointer at rest holds the list for five seconds", () => {
  arrange(["", "abc", ""]);
  fire("pointermove");
  milliseconds += 4900;
  assert.deepEqual(arrange(["", "cba", ""]), ["", "abc", ""]);
  milliseconds += 100;
  assert.deepEqual(arrange(["", "cba", ""]), ["", "cba", ""]);
});
