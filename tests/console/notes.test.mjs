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
