import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import {
  KeyedList,
  button,
  ensureFocus,
  h,
  setAttribute,
  setText,
  singleClickButton,
  throttle,
  uniqueId,
} from "../../kazoo_bridge/console/page/app/dom.js";
import { installDocument } from "./fake-dom.mjs";

let page;

beforeEach(() => {
  page = installDocument();
});

test("h sets attributes, properties and listeners, and skips null and false", () => {
  let clicks = 0;
  const attributes = { class: "a", hidden: true, title: null, value: "v", onclick: () => (clicks += 1) };
  const element = h("input", attributes, "text", [null, [false, h("b", {})]]);
  element.click();
  assert.deepEqual(element.attributes, { class: "a", hidden: "" });
  assert.equal(element.value, "v");
  assert.equal(clicks, 1);
  assert.deepEqual(
    element.elements.map(({ tag }) => tag),
    ["b"],
  );
  assert.equal(element.textContent, "text");
});

test("setText and setAttribute change the document only when the value changes", () => {
  const element = h("p", {}, "old");
  const [child] = element.children;
  setText(element, "old");
  assert.equal(element.children[0], child);
  setText(element, null);
  assert.equal(element.textContent, "");
  setAttribute(element, "title", 1);
  assert.equal(element.getAttribute("title"), "1");
  setAttribute(element, "title", false);
  assert.ok(!element.hasAttribute("title"));
  for (const value of [null, undefined]) {
    setAttribute(element, "title", "x");
    setAttribute(element, "title", value);
    assert.ok(!element.hasAttribute("title"));
  }
});

test("ids are unique", () => {
  assert.notEqual(uniqueId("a"), uniqueId("a"));
});

function makeList() {
  const parent = h("ul", {});
  page.body.append(parent);
  const removed = [];
  const list = new KeyedList(parent, ({ id }) => {
    const element = h(
      "li",
      {},
      button(id, () => {}),
    );
    element.update = ({ label }) => (element.label = label);
    element.onRemoved = () => removed.push(id);
    return element;
  });
  const show = (...items) => list.show(items, ({ id }) => id);
  return { parent, removed, show };
}

test("a keyed list keeps the element of an item while it moves and changes", () => {
  const { parent, removed, show } = makeList();
  show({ id: "a", label: 1 }, { id: "b", label: 1 });
  const [a, b] = parent.children;
  show({ id: "b", label: 2 }, { id: "a", label: 1 });
  assert.deepEqual(parent.children, [b, a]);
  assert.equal(b.label, 2);
  show({ id: "b", label: 2 });
  assert.deepEqual(parent.children, [b]);
  assert.deepEqual(removed, ["a"]);
});

test("when the focused element of a keyed list is removed, its neighbour gets focus", () => {
  const { parent, show } = makeList();
  show({ id: "a" }, { id: "b" }, { id: "c" });
  parent.children[1].querySelector("button").focus();
  show({ id: "a" }, { id: "c" });
  assert.equal(document.activeElement.textContent, "c");
  show({ id: "a" });
  assert.equal(document.activeElement.textContent, "a");
});

test("an element of a keyed list that moves keeps focus", () => {
  const { parent, show } = makeList();
  show({ id: "a" }, { id: "b" });
  const focused = parent.children[1].querySelector("button");
  focused.focus();
  show({ id: "b" }, { id: "a" });
  assert.equal(document.activeElement, focused);
});

test("lost focus goes to the dialog that is on top", () => {
  const dialogs = [h("dialog", {}, h("button", {})), h("dialog", {}, h("button", {}))];
  page.body.append(...dialogs);
  for (const dialog of dialogs) dialog.showModal();
  ensureFocus();
  assert.equal(document.activeElement, dialogs[1].elements[0]);
  const [first] = dialogs[0].elements;
  first.focus();
  ensureFocus();
  assert.equal(document.activeElement, first);
  first.disabled = true;
  ensureFocus();
  assert.equal(document.activeElement, dialogs[1].elements[0]);
});

test("a throttled callback runs once per interval, in an animation frame", () => {
  let frames = [];
  globalThis.requestAnimationFrame = (callback) => frames.push(callback);
  const runFrame = (timestamp) => {
    const callbacks = frames;
    frames = [];
    for (const callback of callbacks) callback(timestamp);
  };
  let runs = 0;
  const run = throttle(() => (runs += 1), 100);
  run();
  run();
  runFrame(1000);
  assert.equal(runs, 1);
  run();
  runFrame(1099);
  assert.equal(runs, 1);
  runFrame(1100);
  assert.equal(runs, 2);
  runFrame(1300);
  assert.equal(runs, 2);
});

test("a double click on a button acts once, until what it started has ended", async () => {
  const ends = [];
  const control = button("Save", () => new Promise((resolve) => ends.push(resolve)));
  control.click();
  control.click();
  assert.equal(ends.length, 1);
  assert.equal(control.getAttribute("aria-busy"), "true");
  ends[0]();
  await new Promise((resolve) => setImmediate(resolve));
  assert.ok(!control.hasAttribute("aria-busy"));
  control.click();
  assert.equal(ends.length, 2);
});

test("a blocked button does not act", () => {
  let clicks = 0;
  const control = button("Save", () => (clicks += 1));
  setAttribute(control, "aria-disabled", true);
  control.click();
  setAttribute(control, "aria-disabled", false);
  control.click();
  assert.equal(clicks, 1);
});

test("the further clicks of a double click are ignored, even after the action has ended", async () => {
  let count = 0;
  const element = singleClickButton("Send", async () => (count += 1));
  const click = async (detail) => {
    element.dispatchEvent(Object.assign(new Event("click"), { detail }));
    await new Promise(setImmediate);
  };
  await click(1);
  await click(2);
  await click(3);
  assert.equal(count, 1);
  // Enter and Space, and the next click.
  await click(0);
  await click(1);
  assert.equal(count, 3);
});
