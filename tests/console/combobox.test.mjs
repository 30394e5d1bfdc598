import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { Combobox } from "../../kazoo_bridge/console/page/app/views/combobox.js";
import { installDocument } from "./fake-dom.mjs";

const OPTIONS = [
  { key: "a", name: "Ada", detail: "2001", value: "2001" },
  { key: "b", name: "Bo", detail: "2002", value: "2002", state: { kind: "free", text: "free" } },
];

let combobox;
let submitted;
let known;

beforeEach(() => {
  installDocument();
  submitted = [];
  known = OPTIONS;
  combobox = new Combobox({
    label: "Number",
    placeholder: "",
    optionsOf: (text) => known.filter(({ name, value }) => `${name} ${value}`.includes(text)),
    isValue: (text) => /^\d+$/.test(text),
    onSubmit: ({ value, option }) => submitted.push([value, option?.key ?? null]),
  });
  document.body.append(combobox.element);
});

function type(text) {
  combobox.input.value = text;
  combobox.input.dispatchEvent(new Event("input"));
}
const press = (key, more = {}) => {
  const event = Object.assign(new Event("keydown", { cancelable: true }), { key, ...more });
  combobox.input.dispatchEvent(event);
};
const active = () => combobox.input.getAttribute("aria-activedescendant");

test("a name selects the first option that fits, a number stays as it is typed", () => {
  type("Bo");
  press("Enter");
  type("200");
  press("Enter");
  type("nobody");
  press("Enter");
  assert.deepEqual(submitted, [
    ["2002", "b"],
    ["200", null],
    ["nobody", null],
  ]);
});

test("arrow keys select an option, or none above the first", () => {
  type("200");
  assert.equal(active(), null);
  press("ArrowDown");
  press("ArrowDown");
  press("ArrowDown");
  assert.equal(active(), combobox.list.children[1].getAttribute("id"));
  assert.equal(combobox.list.children[1].getAttribute("aria-selected"), "true");
  press("Enter");
  press("ArrowUp");
  press("ArrowUp");
  assert.equal(active(), null);
  assert.deepEqual(submitted, [["2002", "b"]]);
});

test("a held key and the end of a composition submit nothing", () => {
  type("Ada");
  press("Enter", { repeat: true });
  press("Enter", { isComposing: true });
  assert.deepEqual(submitted, []);
});

test("a click selects, and does not submit", () => {
  type("");
  combobox.list.children[0].click();
  assert.deepEqual(combobox.choice.value, "2001");
  assert.deepEqual(submitted, []);
});

test("the selection stays with its option when the options change", () => {
  combobox.set("", "2002");
  known = [{ key: "n", name: "New", value: "2000" }, ...OPTIONS];
  combobox.update();
  assert.equal(combobox.choice.option.key, "b");
  known = [];
  combobox.update();
  assert.deepEqual([combobox.choice.option, combobox.input.getAttribute("aria-expanded")], [null, "false"]);
});
