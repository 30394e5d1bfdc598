import assert from "node:assert/strict";
import { test } from "node:test";

import { isDiallable, suggest, toNumber } from "../../kazoo_bridge/console/page/app/suggestions.js";

const person = (name, number, more = {}) => ({ name, number, state: "free", isFavourite: false, ...more });
const PEOPLE = [
  person("Ada Byron", "2001", { state: "talking" }),
  person("Bo Adams", "2002"),
  person("Canada Desk", "2010"),
  person("Nobody", ""),
  person("Zoe", "2003", { isFavourite: true }),
];
const names = (text, limit) => suggest(PEOPLE, text, limit).map(({ name }) => name);

test("names that begin with the text come first, then people that can be reached", () => {
  assert.deepEqual(names("ada"), ["Bo Adams", "Ada Byron", "Canada Desk"]);
  assert.deepEqual(names("ada byr"), ["Ada Byron"]);
});

test("numbers fit, the exact one first; without a text favourites come first", () => {
  assert.deepEqual(names("2001"), ["Ada Byron"]);
  assert.deepEqual(names("200"), ["Zoe", "Bo Adams", "Ada Byron"]);
  assert.deepEqual(names("", 2), ["Zoe", "Bo Adams"]);
  assert.deepEqual(names("xyz"), []);
});

test("numbers are dialled without what is only for reading", () => {
  assert.equal(toNumber(" +1 (555) 555-0150 "), "+15555550150");
  assert.equal(toNumber("**20.01"), "**2001");
  assert.equal(toNumber("zz zz"), "zz zz");
  assert.deepEqual(["2001", "*3101", "", "ada", "20a"].map(isDiallable), [true, true, false, false, false]);
});
