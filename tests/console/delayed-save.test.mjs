import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { DelayedSave } from "../../kazoo_bridge/console/page/app/delayed-save.js";

let saves;
let saving;
let listeners;

beforeEach(() => {
  saves = 0;
  listeners = new Map();
  globalThis.addEventListener = (type, listener) => listeners.set(type, listener);
  globalThis.removeEventListener = (type) => listeners.delete(type);
  saving = new DelayedSave(() => (saves += 1), 1000);
});

test("many requests are one save within the interval", ({ mock }) => {
  mock.timers.enable({ apis: ["setTimeout"] });
  for (let count = 0; count < 5; count += 1) {
    saving.request();
    mock.timers.tick(100);
  }
  assert.equal(saves, 0);
  mock.timers.tick(500);
  assert.equal(saves, 1);
  mock.timers.tick(5000);
  assert.equal(saves, 1);
  saving.request();
  mock.timers.tick(1000);
  assert.equal(saves, 2);
});

test("what was requested is saved at the end, and when the page is hidden", () => {
  saving.request();
  listeners.get("pagehide")();
  assert.equal(saves, 1);
  listeners.get("pagehide")();
  assert.equal(saves, 1);
  saving.request();
  saving.dispose();
  assert.equal(saves, 2);
  assert.equal(listeners.size, 0);
});
