import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { preference, setPreference } from "../../kazoo_bridge/console/page/app/preferences.js";

let stored;

beforeEach(() => {
  stored = new Map();
  globalThis.localStorage = {
    getItem: (key) => stored.get(key) ?? null,
    setItem: (key, value) => stored.set(key, value),
  };
});

test("a preference is stored, also if it is false", () => {
  assert.equal(preference("keys", true), true);
  setPreference("keys", false);
  assert.equal(preference("keys", true), false);
  assert.deepEqual([...stored], [["kazoo-bridge-console.keys", "false"]]);
});

test("without a storage, or with another program's content in it, the fallback applies", () => {
  stored.set("kazoo-bridge-console.keys", "{");
  assert.equal(preference("keys", true), true);
  const refuse = () => {
    throw new Error("denied");
  };
  globalThis.localStorage = { getItem: refuse, setItem: refuse };
  setPreference("keys", false);
  assert.equal(preference("keys", true), true);
});
