import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { Notes } from "../../kazoo_bridge/console/page/app/notes.js";
import { installStorage } from "./fake-storage.mjs";

let storage;

beforeEach(() => {
  storage = installStorage();
});

test("notes are kept by number and account, and an empty one goes", () => {
  const notes = new Notes("a");
  notes.write("2001", "  prefers mornings ");
  assert.equal(new Notes("a").of("2001"), "prefers mornings");
  assert.equal(new Notes("b").of("2001"), "");
  notes.write("2001", " ");
  notes.write("", "for no number");
  assert.deepEqual([...new Notes("a").notes], []);
});

test("notes are bounded in number and length, the oldest go first", () => {
  const notes = new Notes("a");
  for (let number = 0; number <= 500; number += 1) notes.write(`n${number}`, "x".repeat(600));
  assert.equal(notes.notes.size, 500);
  assert.equal(notes.of("n0"), "");
  assert.equal(notes.of("n500").length, 500);
});

test("what is stored in another form is ignored", () => {
  storage.setItem("kazoo-bridge-console.operator.a.notes", '[["1", "ok"], ["2"], 3, ["4", 5]]');
  assert.deepEqual([...new Notes("a").notes], [["1", "ok"]]);
  storage.setItem("kazoo-bridge-console.operator.a.notes", '{"1": "x"}');
  assert.deepEqual([...new Notes("a").notes], []);
});

test("two tabs keep each other's notes", () => {
  const [one, other] = [new Notes("a"), new Notes("a")];
  one.write("2001", "first");
  other.write("2002", "second");
  one.write("2001", "");
  assert.deepEqual([...new Notes("a").notes], [["2002", "second"]]);
  assert.equal(one.of("2002"), "second");
});

test("in a browser that stores nothing, notes last as long as the page", () => {
  storage.isFull = true;
  const notes = new Notes("a");
  notes.write("2001", "first");
  notes.write("2002", "second");
  assert.equal(notes.of("2001"), "first");
});

test("a note of another tab shows at once, but does not replace notes that only this page has", () => {
  const [one, other] = [new Notes("a"), new Notes("a")];
  let changes = 0;
  one.addEventListener("change", () => (changes += 1));
  other.write("2001", "first");
  one.onPreference("operator.b.notes");
  assert.equal(one.of("2001"), "");
  one.onPreference("operator.a.notes");
  assert.deepEqual([one.of("2001"), changes], ["first", 1]);
  storage.isFull = true;
  one.write("2002", "second");
  one.onPreference("operator.a.notes");
  one.write("2003", "third");
  assert.deepEqual([...one.notes.keys()], ["2001", "2002", "2003"]);
});
