import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { beforeEach, test } from "node:test";
import vm from "node:vm";

import { APPEARANCE, appearance, setAppearance } from "../../kazoo_bridge/console/page/app/appearance.js";

const EARLY = new URL("../../kazoo_bridge/console/page/app/early-appearance.js", import.meta.url);

let attributes;

beforeEach(() => {
  const stored = new Map();
  globalThis.localStorage = {
    getItem: (key) => stored.get(key) ?? null,
    setItem: (key, value) => stored.set(key, value),
  };
  globalThis.document = newDocument();
});

function newDocument() {
  attributes = {};
  return { documentElement: { setAttribute: (name, value) => (attributes[name] = value) } };
}

test("without a choice the defaults apply, also for a value of another version", () => {
  assert.deepEqual([appearance("theme"), appearance("density")], ["system", "comfortable"]);
  localStorage.setItem("kazoo-bridge-console.theme", '"sepia"');
  assert.equal(appearance("theme"), "system");
});

test("a choice applies at once, and before the first paint of later pages", () => {
  setAppearance("theme", "dark");
  assert.equal(appearance("theme"), "dark");
  assert.deepEqual(attributes, { "data-theme": "dark" });
  setAppearance("density", APPEARANCE.density[1]);
  vm.runInNewContext(readFileSync(EARLY, "utf8"), { document: newDocument(), localStorage });
  assert.deepEqual(attributes, { "data-theme": "dark", "data-density": "compact" });
});

test("a browser that stores nothing shows the defaults", () => {
  const localStorage = {
    getItem() {
      throw new Error("denied");
    },
  };
  vm.runInNewContext(readFileSync(EARLY, "utf8"), { document: newDocument(), localStorage });
  assert.deepEqual(attributes, {});
});
