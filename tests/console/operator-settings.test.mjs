import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { OperatorSettings } from "../../kazoo_bridge/console/page/app/operator-settings.js";
import { installStorage } from "./fake-storage.mjs";

const PHONE = { type: "user", id: "u1", name: "Ines (2003)" };
const PREFIX = "kazoo-bridge-console.operator.";

let storage;

beforeEach(() => {
  storage = installStorage();
});

test("settings stay in the browser; the phone belongs to an account, thresholds do not", () => {
  const [one, other] = [new OperatorSettings("a"), new OperatorSettings("b")];
  one.set("phone", PHONE);
  one.set("sound", true);
  assert.deepEqual(new OperatorSettings("a").get("phone"), PHONE);
  assert.equal(other.get("phone"), null);
  assert.equal(other.get("sound"), true);
  storage.isFull = true;
  one.set("sound", false);
  assert.equal(one.get("sound"), false);
});

test("a change is reported with its name", () => {
  const settings = new OperatorSettings("a");
  const names = [];
  settings.addEventListener("change", ({ detail }) => names.push(detail));
  settings.set("lane", "held");
  assert.deepEqual(names, ["lane"]);
});

test("stored values of another form are ignored", () => {
  const settings = new OperatorSettings("a");
  const stored = {
    "a.phone": { type: "fax", id: "1", name: "x" },
    "a.favourites": "2001",
    thresholds: { ringing: [5] },
    sound: "yes",
    sort: null,
  };
  for (const [name, value] of Object.entries(stored)) storage.setItem(PREFIX + name, JSON.stringify(value));
  storage.setItem(`${PREFIX}lane`, "{broken");
  assert.equal(settings.get("phone"), null);
  assert.deepEqual(settings.get("favourites"), []);
  assert.deepEqual(settings.get("thresholds").ringing, [15, 30]);
  assert.equal(settings.get("sound"), false);
  assert.equal(settings.get("sort").column, "time");
  assert.equal(settings.get("lane"), "");
});

test("without a choice there is a panel where there is space for it", () => {
  const settings = new OperatorSettings("a");
  globalThis.matchMedia = () => ({ matches: true });
  assert.equal(settings.panel, "people");
  globalThis.matchMedia = () => ({ matches: false });
  assert.equal(settings.panel, "");
  settings.set("panel", "recent");
  assert.equal(settings.panel, "recent");
});

test("a list to be changed is that of all tabs", () => {
  const [one, other] = [new OperatorSettings("a"), new OperatorSettings("a")];
  assert.deepEqual([one.get("favourites"), other.get("favourites")], [[], []]);
  one.setIncluded("favourites", "u1", true);
  other.setIncluded("favourites", "u2", true);
  one.setIncluded("favourites", "u3", true);
  one.setIncluded("favourites", "u1", false);
  assert.deepEqual(new OperatorSettings("a").get("favourites"), ["u2", "u3"]);
  storage.isFull = true;
  const unstored = new OperatorSettings("b");
  for (const name of ["u1", "u2"]) unstored.setIncluded("favourites", name, true);
  assert.deepEqual(unstored.get("favourites"), ["u1", "u2"]);
});

test("what tabs share changes at once in each, and the order of calls is a tab's own", () => {
  const [one, other] = [new OperatorSettings("a"), new OperatorSettings("a")];
  const changed = [];
  one.addEventListener("change", ({ detail }) => changed.push(detail));
  const names = ["favourites", "lane"];
  const values = () => names.map((name) => one.get(name));
  assert.deepEqual(values(), [[], ""]);
  other.set("favourites", ["u1"]);
  other.set("lane", "parked");
  for (const name of names) one.onPreference(one.keyOf(name));
  assert.deepEqual(values(), [["u1"], ""]);
  assert.deepEqual(changed, ["favourites"]);
});
