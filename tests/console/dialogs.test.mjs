import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { confirmDialog, openDialog } from "../../kazoo_bridge/console/page/app/dialogs.js";
import { findButton, installDocument } from "./fake-dom.mjs";

let page;

beforeEach(() => {
  page = installDocument();
});

function mouseDown(dialog, clientX, clientY) {
  const event = Object.assign(new Event("mousedown"), { clientX, clientY });
  dialog.dispatchEvent(event);
}

test("a closed dialog is removed, and focus returns to its opener", () => {
  const opener = document.createElement("button");
  page.body.append(opener);
  opener.focus();
  let closed = 0;
  const dialog = openDialog("Title", "content", { onClose: () => (closed += 1) });
  dialog.querySelector("button").focus();
  findButton(dialog, "✕").click();
  assert.equal(closed, 1);
  assert.ok(!dialog.isConnected);
  assert.equal(document.activeElement, opener);
});

test("a click outside closes a dialog; a click on its border does not", () => {
  const dialog = openDialog("Title", "content");
  mouseDown(dialog, 150, 150);
  assert.ok(dialog.open);
  mouseDown(dialog, 99, 150);
  assert.ok(!dialog.open);
});

test("a click outside does not close a persistent dialog", () => {
  const dialog = openDialog("Title", "content", { persistent: true });
  mouseDown(dialog, 99, 150);
  assert.ok(dialog.open);
});

test("confirmDialog resolves to whether the user confirmed", async () => {
  const cases = [
    ["Delete", true],
    ["Cancel", false],
    ["✕", false],
  ];
  for (const [label, expected] of cases) {
    const confirmed = confirmDialog("Delete it?", "Delete", "It cannot be restored.");
    findButton(page.body, label).click();
    assert.equal(await confirmed, expected, label);
  }
});
