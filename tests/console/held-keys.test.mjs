import assert from "node:assert/strict";
import { test } from "node:test";

import { ignoreHeldKeys } from "../../kazoo_bridge/console/page/app/held-keys.js";

/** Press keys, each `[key, repeat, target]`; returns for each whether it has its effect. */
function press(...keys) {
  const listeners = [];
  ignoreHeldKeys({ addEventListener: (_, listener) => listeners.push(listener) });
  return keys.map(([key, repeat, target]) => {
    let effective = true;
    const event = { key, repeat, target, preventDefault: () => (effective = false) };
    for (const listener of listeners) listener(event);
    return effective;
  });
}

test("a held Enter or Escape acts once", () => {
  assert.deepEqual(press(["Enter", false, "button"], ["Enter", true, "button"], ["Enter", true, "confirm"]), [
    true,
    false,
    false,
  ]);
  assert.deepEqual(press(["Escape", false, "form"], ["Escape", true, "dialog"]), [true, false]);
});

test("what a held key has opened does not receive its repetitions", () => {
  assert.deepEqual(
    press(["t", false, "row"], ["t", true, "input"], ["t", false, "input"], ["t", true, "input"]),
    [true, false, true, true],
  );
  assert.deepEqual(press(["Delete", false, "row"], ["Delete", true, "button"]), [true, false]);
});

test("keys that move are repeated", () => {
  assert.deepEqual(press(["ArrowDown", false, "row"], ["ArrowDown", true, "next row"]), [true, true]);
  assert.deepEqual(press(["Tab", false, "a"], ["Tab", true, "b"]), [true, true]);
});
