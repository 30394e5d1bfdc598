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
  findButton(dialog, "Close").click();
  assert.equal(closed, 1);
  assert.ok(!dialog.isConnected);
  assert.equal(document.activeElement, opener);
});

test("the title of a dialog can change", () => {
  const dialog = openDialog("Ada to Desk", "content");
  dialog.setTitle("Ada to Cy");
  const heading = dialog.descendants().find(({ tag }) => tag === "h2");
  assert.equal(heading.textContent, "Ada to Cy");
  assert.equal(dialog.getAttribute("aria-labelledby"), heading.getAttribute("id"));
});

test("a click outside closes a dialog; a click inside or on its border does not", () => {
  const outside = [
    [99, 150],
    [201, 150],
    [150, 99],
    [150, 201],
  ];
  for (const [x, y] of outside) {
    const dialog = openDialog("Title", "content");
    for (const position of [100, 150, 200]) mouseDown(dialog, position, position);
    assert.ok(dialog.open);
    mouseDown(dialog, x, y);
    assert.ok(!dialog.open, `${x}, ${y}`);
  }
});

test("focus goes to the view when the opener is gone", () => {
  const view = document.createElement("main");
  view.setAttribute("tabindex", "-1");
  const opener = document.createElement("button");
  page.body.append(view, opener);
  opener.focus();
  const dialog = openDialog("Title", "content");
  opener.remove();
  dialog.close();
  assert.equal(document.activeElement, view);
});

test("a dialog can be wide and have a class", () => {
  const classOf = (options) => openDialog("Title", "content", options).getAttribute("class");
  assert.equal(classOf({}), null);
  assert.equal(classOf({ wide: true }), "wide");
  assert.equal(classOf({ wide: true, className: "account-dialog" }), "wide account-dialog");
});

test("a click outside does not close a persistent dialog", () => {
  const dialog = openDialog("Title", "content", { persistent: true });
  mouseDown(dialog, 99, 150);
  assert.ok(dialog.open);
});

test("a dialog whose content was changed asks before Escape or its ✕ closes it", async () => {
  let changed = false;
  const dialog = openDialog("Edit", "content", { isChanged: () => changed });
  const question = () => page.body.elements.find((element) => element !== dialog && element.open);
  const answer = async (label) => {
    findButton(question(), label).click();
    await Promise.resolve();
  };
  const press = (type, properties = {}) => {
    const event = Object.assign(new Event(type, { cancelable: true }), properties);
    dialog.dispatchEvent(event);
    return event.defaultPrevented;
  };
  // Unchanged: the browser closes it.
  assert.equal(press("keydown", { key: "Escape" }), false);
  changed = true;
  assert.equal(press("keydown", { key: "a" }), false);
  for (const [type, properties] of [
    ["keydown", { key: "Escape" }],
    ["cancel", {}],
  ]) {
    assert.equal(press(type, properties), true, type);
    // Asked once, however often the key is pressed.
    assert.equal(press(type, properties), true, type);
    await answer("Cancel");
    assert.equal(question(), undefined, type);
    assert.ok(dialog.open, type);
  }
  findButton(dialog, "Close").click();
  assert.ok(dialog.open);
  await answer("Discard");
  assert.ok(!dialog.open);
});

test("confirmDialog resolves to whether the user confirmed", async () => {
  const cases = [
    ["Delete", true],
    ["Cancel", false],
    ["Close", false],
  ];
  for (const [label, expected] of cases) {
    const confirmed = confirmDialog("Delete it?", "Delete", "It cannot be restored.");
    findButton(page.body, label).click();
    assert.equal(await confirmed, expected, label);
  }
});
