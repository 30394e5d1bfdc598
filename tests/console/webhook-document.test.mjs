import assert from "node:assert/strict";
import { test } from "node:test";

import {
  MASK,
  conflictText,
  documentChanges,
  entriesWithout,
  entryErrors,
  formatFilterValue,
  formatSchedule,
  headersOf,
  listErrors,
  modifierOptions,
  nullIfEmpty,
  optionTexts,
  parseFilterValue,
  parseList,
  parseNumber,
  parseSchedule,
  parseSuccessCodes,
  setOrDelete,
  urlError,
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
  // A null property would be removed by the request, but may be an item of a list.
  assert.throws(() => parseFilterValue('{"$not": null}'), SyntaxError);
  assert.deepEqual(parseFilterValue('{"$not": [null, 2]}'), { $not: [null, 2] });
});

test("lists are separated by commas", () => {
  assert.deepEqual(parseList(" 200,2xx , "), ["200", "2xx"]);
  assert.deepEqual(parseList(""), []);
});

test("a schedule can be unset, empty, or have delays", () => {
  for (const delays of [[], [5], [5, 60]]) assert.deepEqual(parseSchedule(formatSchedule(delays)), delays);
  assert.equal(formatSchedule(undefined), "");
  assert.equal(parseSchedule(" "), null);
  assert.deepEqual(parseSchedule(" None "), []);
  assert.deepEqual(parseSchedule("5, soon"), [5, "soon"]);
});

test("a number of 0 is sent, for the server to refuse it", () => {
  const document = { timeout_ms: 500, max_age_s: 60 };
  setOrDelete(document, "timeout_ms", parseNumber("0"));
  setOrDelete(document, "max_age_s", parseNumber(""));
  assert.deepEqual(document, { timeout_ms: 0 });
});

test("changes are of whole properties, except headers, with null for what is removed", () => {
  const previous = {
    name: "a",
    group: "x",
    retries: 2,
    retry_schedule_s: [5],
    headers: { kept: MASK, gone: MASK },
    modifiers: { a: { $prefix: "1", $exists: true }, b: ["x"] },
    health: { successes: 1 },
  };
  const next = {
    name: "b",
    retries: 2,
    retry_schedule_s: [5, 60],
    headers: { kept: MASK, added: "v" },
    modifiers: { a: { $prefix: "2" }, b: ["x"] },
    health: { successes: 1 },
  };
  assert.deepEqual(documentChanges(previous, next), {
    group: null,
    name: "b",
    retry_schedule_s: [5, 60],
    headers: { gone: null, added: "v" },
    modifiers: { a: { $prefix: "2" }, b: ["x"] },
  });
  assert.deepEqual(documentChanges(previous, { ...previous }), {});
  assert.deepEqual(documentChanges({ modifiers: { a: "x" } }, { modifiers: { a: { $exists: true } } }), {
    modifiers: { a: { $exists: true } },
  });
  assert.deepEqual(documentChanges({}, { constructor: { a: 1 } }), { constructor: { a: 1 } });
});

test("entries of an editor have a name each, and no name twice", () => {
  const entries = [
    ["a", "1"],
    ["", "value"],
    ["a", "2"],
    ["b", ""],
  ];
  assert.deepEqual(entryErrors("modifiers", entries), {
    modifiers: "expected a name beside each value",
    "modifiers.a": "given twice",
  });
  assert.deepEqual(entryErrors("modifiers", [["a", "1"]]), {});
});

test("headers have names in lower case, and masks only for stored values", () => {
  const entries = [
    ["X-Api-Key", MASK],
    ["Authorization", "Bearer x"],
  ];
  const expected = { "x-api-key": MASK, authorization: "Bearer x" };
  assert.deepEqual(headersOf(entries, { "x-api-key": MASK }), expected);
  assert.throws(() => headersOf(entries), { fields: { "headers.X-Api-Key": "enter the value again" } });
  const twice = [
    ["a", "1"],
    ["A", "2"],
  ];
  const problem = "given twice: case does not matter in names";
  assert.throws(() => headersOf(twice), { fields: { "headers.A": problem } });
});

test("options that a webhook has are shown, without the values of headers", () => {
  assert.deepEqual(optionTexts({ name: "plain", retries: 2 }), []);
  const hook = {
    modifiers: { direction: "inbound", number: { $prefix: "+49" } },
    headers: { "x-a": MASK, "x-b": MASK },
    success_codes: ["200", "2xx"],
    timeout_ms: 500,
    retry_schedule_s: [],
    max_age_s: 60,
    rate_limit: 5,
  };
  assert.deepEqual(optionTexts(hook), [
    ["Filters", 'direction: inbound; number: {"$prefix":"+49"}'],
    ["Headers", "x-a, x-b"],
    ["Success codes", "200, 2xx"],
    ["Time-out", "500 ms"],
    ["Retries after", "none after the quick ones"],
    ["Drops events older than", "60 s"],
    ["Rate limit", "5 per second"],
  ]);
  assert.deepEqual(optionTexts({ retry_schedule_s: [5, 60] }), [["Retries after", "5, 60 s"]]);
});

test("success codes and schedules are explained if they are wrong", () => {
  assert.deepEqual(parseSuccessCodes("200, 2XX,"), ["200", "2xx"]);
  assert.equal(parseSuccessCodes(" "), null);
  for (const [codes, schedule] of [
    ["", ""],
    ["200, 5XX", "5, 60"],
    ["204", "none"],
  ]) {
    assert.deepEqual(listErrors(codes, schedule), {});
  }
  assert.deepEqual(Object.keys(listErrors("100", "5, soon")), ["success_codes", "retry_schedule_s"]);
  assert.deepEqual(Object.keys(listErrors("200 204", "1.5")), ["success_codes", "retry_schedule_s"]);
});

test("a conflict names what both have changed, with its new value", () => {
  const previous = { name: "desk", group: "a", retries: 2, headers: { x: MASK }, custom_data: { a: "1" } };
  const theirs = { name: "front", retries: 3, headers: { x: MASK, y: MASK }, custom_data: { a: "2" } };
  const texts = [
    [{ uri: "http://new" }, /Save again to add your changes to theirs\.$/],
    [{ name: "back", uri: "http://new" }, /Both of you have changed name \(now "front"\)\. Save again/],
    [{ group: "b", retries: 1, custom_data: {} }, /custom_data, retries|retries \(now 3\), custom_data/],
    [{ group: "b" }, /group \(now unset\)/],
    [{ headers: { z: "secret" } }, /Both of you have changed headers\. Save/],
  ];
  for (const [changes, expected] of texts) {
    const text = conflictText(previous, changes, theirs);
    assert.match(text, expected);
    assert.match(text, /^Another client has changed this meanwhile/);
    assert.doesNotMatch(text, /secret/);
  }
});

test("a URL is one of the web, without spaces", () => {
  for (const url of ["https://example.com/hooks", "http://127.0.0.1:80/?a=b", ""]) assert.deepEqual(urlError(url), {}, url);
  for (const url of ["not a url", "ftp://example.com/", "javascript:alert(1)", "https://", "https://a b/"]) {
    assert.ok(urlError(url).uri, url);
  }
});
