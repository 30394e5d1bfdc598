import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { areOn, shortcutOf, turn } from "../../kazoo_bridge/console/page/app/shortcuts.js";

const press = (key, properties = {}) =>
  shortcutOf({ key, target: { closest: () => null }, ...properties }, 5);

beforeEach(() => {
  const stored = new Map();
  globalThis.localStorage = {
    getItem: (key) => stored.get(key) ?? null,
    setItem: (key, value) => stored.set(key, value),
  };
});

test("keys search, help, and open views", () => {
  assert.deepEqual(["/", "?", "1", "5"].map((key) => press(key)), ["search", "help", 0, 4]);
  for (const key of ["0", "6", "h", "Enter", "F1", "11"]) assert.equal(press(key), null, key);
});

test("a held key, one with a modifier, and one that a view has used are no shortcuts", () => {
  for (const property of ["repeat", "ctrlKey", "metaKey", "altKey", "defaultPrevented"]) {
    assert.equal(press("1", { [property]: true }), null, property);
  }
  assert.equal(press("?", { shiftKey: true }), "help");
});

test("keys in a field are text, but not on a checkbox or the document", () => {
  let selector;
  const target = { closest: (text) => ((selector = text), {}) };
  assert.equal(press("/", { target }), null);
  assert.match(selector, /input:not\(\[type=checkbox\]/);
  assert.equal(press("/", { target: {} }), "search");
});

test("shortcuts can be turned off", () => {
  assert.ok(areOn());
  turn(false);
  assert.equal(press("?"), null);
  turn(true);
  assert.equal(press("?"), "help");
});
