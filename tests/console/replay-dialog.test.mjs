import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { openReplay } from "../../kazoo_bridge/console/page/app/views/replay-dialog.js";
import { findButton, installDocument } from "./fake-dom.mjs";

const settle = () => new Promise((resolve) => setImmediate(resolve));
const attempt = (id) => ({ id, event_id: `e${id}`, req_headers: {} });

let dialog;
let form;
let replies;
let sent;

beforeEach(() => {
  const { body } = installDocument();
  replies = [];
  sent = [];
  const rest = {
    request: () => new Promise((resolve) => replies.push((data, more = {}) => resolve({ data, ...more }))),
    send: async (method, path) => sent.push(path),
  };
  openReplay(rest, (...segments) => segments.join("/"), async () => {});
  dialog = body.querySelector("dialog");
  form = dialog.querySelector("form");
  const [, , result] = dialog.querySelectorAll("input, select");
  result.value = "";
});

const find = () => form.dispatchEvent(new Event("submit", { cancelable: true }));
const statusText = () => dialog.descendants().find((child) => child.getAttribute("role") === "status").textContent;
const startButton = () => dialog.descendants().find((child) => child.getAttribute("class") === "primary");

/** Change the first time, like the user. */
function change() {
  const [from] = dialog.querySelectorAll("input");
  from.value = "2020-01-01T00:00";
  form.dispatchEvent(new Event("input"));
}

test("what a search has found is replayed", async () => {
  find();
  replies[0]([attempt("1"), attempt("2")]);
  await settle();
  assert.equal(startButton().hidden, false);
  startButton().click();
  await settle();
  assert.deepEqual(sent, ["attempts/2/replay", "attempts/1/replay"]);
});

test("a search whose time was changed meanwhile finds nothing to replay", async () => {
  find();
  change();
  replies[0]([attempt("1")], { next_start_key: "2" });
  await settle();
  assert.equal(statusText(), "");
  assert.notEqual(startButton().hidden, false);
  assert.equal(replies.length, 1, "the search goes on");
  find();
  replies[1]([attempt("3")]);
  await settle();
  assert.equal(statusText(), "1 delivery found");
  startButton().click();
  await settle();
  assert.deepEqual(sent, ["attempts/3/replay"]);
});

test("the time cannot be changed while deliveries are replayed", async () => {
  find();
  replies[0]([attempt("1")]);
  await settle();
  startButton().click();
  assert.deepEqual(dialog.querySelectorAll("input, select").map(({ disabled }) => disabled), [true, true, true]);
  await settle();
  assert.ok(findButton(dialog, "Stop").hidden);
});
