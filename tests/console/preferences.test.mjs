import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { followPreferences, preference, setPreference } from "../../kazoo_bridge/console/page/app/preferences.js";

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

test("a preference that another tab sets is reported, until that is ended", () => {
  const listeners = new Set();
  globalThis.addEventListener = (_, listener) => listeners.add(listener);
  globalThis.removeEventListener = (_, listener) => listeners.delete(listener);
  const names = [];
  const stop = followPreferences((name) => names.push(name));
  for (const key of ["kazoo-bridge-console.a", "other", null]) for (const listener of listeners) listener({ key });
  assert.deepEqual(names, ["a"]);
  stop();
  assert.equal(listeners.size, 0);
});
