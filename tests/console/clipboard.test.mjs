import assert from "node:assert/strict";
import { test } from "node:test";

import { copyText } from "../../kazoo_bridge/console/page/app/clipboard.js";

/** Copy "key" in a browser; returns [result, what was done]. */
async function copy(clipboard, copiesSelection) {
  const done = [];
  const navigator = { clipboard: clipboard?.(done) };
  Object.defineProperty(globalThis, "navigator", { value: navigator, configurable: true });
  globalThis.document = {
    execCommand: (command) => {
      done.push(command);
      return copiesSelection;
    },
  };
  return [await copyText("key", () => done.push("select")), done];
}

test("text goes to the clipboard without a selection", async () => {
  const clipboard = (done) => ({ writeText: async (text) => done.push(text) });
  assert.deepEqual(await copy(clipboard, false), [true, ["key"]]);
});

test("the selection is copied where the clipboard is missing or refused", async () => {
  const refused = () => ({
    writeText: async () => {
      throw new Error("NotAllowedError");
    },
  });
  for (const clipboard of [undefined, refused]) {
    assert.deepEqual(await copy(clipboard, true), [true, ["select", "copy"]]);
    assert.deepEqual(await copy(clipboard, false), [false, ["select", "copy"]]);
  }
});
