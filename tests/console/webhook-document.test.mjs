import assert from "node:assert/strict";
import { test } from "node:test";

import {
  entriesWithout,
  formatFilterValue,
  formatSchedule,
  modifierOptions,
  nullIfEmpty,
  parseFilterValue,
  parseList,
  parseSchedule,
  setOrDelete,
} from "../../kazoo_bridge/console/page/app/webhook-document.js";

test("an empty value deletes its property", () => {
  const document = { group: "old", rate_limit: 5 };
  setOrDelete(document, "group", "new");
  setOrDelete(document, "rate_limit", "");
  setOrDelete(document, "custom_data", nullIfEmpty({}));
  setOrDelete(document, "modifiers", nullIfEmpty({ a: 1 }));
  assert.deepEqual(document, { group: "new", modifiers: { a: 1 } });
});

test("filters are text, booleans, or lists of them", () => {
  const cases = {
    inbound: "inbound",
    "a, b,": ["a", "b"],
    true: true,
    "false,x": [false, "x"],
    2001: "2001",
  };
  for (const [text, value] of Object.entries(cases)) assert.deepEqual(parseFilterValue(text), value, text);
});

test("an unchanged filter keeps its previous value, even if it is a number", () => {
  for (const value of [5, [1, 2], "a", true]) {
    assert.equal(parseFilterValue(formatFilterValue(value), value), value);
  }
  assert.equal(parseFilterValue("6", 5), "6");
});

test("the options of a modifier begin with all", () => {
  const all = [["all", "All"]];
  assert.deepEqual(Object.entries(modifierOptions({})), all);
  assert.deepEqual(Object.entries(modifierOptions({ items: ["user", "all"] })), [...all, ["user", "user"]]);
  const items = { user: { friendly_name: "User" }, device: {} };
  const expected = [...all, ["user", "User"], ["device", "device"]];
  assert.deepEqual(Object.entries(modifierOptions({ items })), expected);
});

test("entries are selected by key", () => {
  assert.deepEqual(entriesWithout({ a: 1, b: 2 }, ["a"]), [["b", 2]]);
  assert.deepEqual(entriesWithout(null, ["a"]), []);
});

test("operators of filters are JSON", () => {
  for (const value of [{ $prefix: "+49" }, { $not: ["a", "b"] }, { x: 1 }, ["a", { x: 1 }]]) {
    const text = formatFilterValue(value);
    assert.deepEqual(parseFilterValue(text), value);
    assert.equal(parseFilterValue(text, value), value);
  }
  assert.deepEqual(parseFilterValue(' {"$gte": 5}'), { $gte: 5 });
  assert.throws(() => parseFilterValue('{"$gte": }'), SyntaxError);
});

test("lists are separated by commas", () => {
  assert.deepEqual(parseList(" 200,2xx , "), ["200", "2xx"]);
  assert.deepEqual(parseList(""), []);
});

test("a schedule can be unset, empty, or have delays", () => {
  for (const delays of [[], [5], [5, 60]]) assert.deepEqual(parseSchedule(formatSchedule(delays)), delays);
  assert.equal(formatSchedule(undefined), "");
  assert.equal(parseSchedule(" "), null);
  assert.deepEqual(parseSchedule("5, soon"), [5, "soon"]);
});
