import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { LiveCalls } from "../../kazoo_bridge/console/page/app/calls.js";
import { OperatorSettings } from "../../kazoo_bridge/console/page/app/operator-settings.js";
import { OutgoingCalls } from "../../kazoo_bridge/console/page/app/outgoing-calls.js";
import { installDocument } from "./fake-dom.mjs";
import { installStorage } from "./fake-storage.mjs";

const MINE = { call_id: "m", state: "ringing", direction: "outbound", timestamp: 1, owner_id: "u", callee_id_number: "2001" };
const OTHER = {
  call_id: "o",
  state: "ringing",
  direction: "outbound",
  timestamp: 2,
  callee_id_name: "Ada",
  callee_id_number: "2003",
  other_leg_call_id: "m",
};

let page;
let calls;
let settings;
let socket;
let sent;
let reply;
let outgoing;

beforeEach(() => {
  installStorage();
  page = installDocument();
  calls = new LiveCalls();
  settings = new OperatorSettings("account");
  settings.set("phone", { type: "user", id: "u", name: "Desk" });
  sent = [];
  reply = { command_id: "c1", call_id: "m", call_ids: ["m"], status: "initiated" };
  socket = new EventTarget();
  socket.newCall = async (...request) => {
    sent.push(request);
    if (reply instanceof Error) throw reply;
    return reply;
  };
  outgoing = new OutgoingCalls(socket, calls, settings);
});

const change = (...legs) => calls.applyEvent({ name: "changed", data: { calls: legs } });
const remove = (...ids) => calls.applyEvent({ name: "removed", data: { call_ids: ids } });
const outcome = (status, more = {}) =>
  socket.dispatchEvent(new CustomEvent("outcome", { detail: { command_id: "c1", status, ...more } }));
const toasts = () =>
  page.toasts.elements.map((toast) => `${toast.attributes.class}: ${toast.elements[0].textContent}`);

test("the phone is asked to call the number, without what is only for reading", async () => {
  assert.equal(await outgoing.call("(200) 3", "Ada"), true);
  assert.deepEqual(sent, [["originate", { from_type: "user", from_id: "u", to: "2003" }]]);
  assert.deepEqual(toasts(), ["toast pending: Asking the switch to call Ada (2003)…"]);
});

test("a call is followed until both are connected, by its events alone", async () => {
  await outgoing.call("2003", "Ada");
  change({ ...MINE, call_id: "another" });
  assert.deepEqual(toasts(), ["toast pending: Asking the switch to call Ada (2003)…"]);
  change(MINE);
  assert.deepEqual(toasts(), ["toast pending: Your phone rings: answer it to call Ada (2003)."]);
  change({ ...MINE, state: "answered" }, OTHER);
  assert.deepEqual(toasts(), ["toast pending: Calling Ada (2003)…"]);
  change({ ...OTHER, state: "answered" });
  assert.deepEqual(toasts(), ["toast success: Ada (2003) is connected to your phone"]);
  remove("m", "o");
  assert.equal(toasts().length, 1);
});

test("the outcomes that the server reports show, those of other commands do not", async () => {
  await outgoing.call("2003");
  outcome("ringing");
  assert.match(toasts()[0], /Your phone rings/);
  outcome("answered");
  assert.deepEqual(toasts(), ["toast pending: Calling 2003…"]);
  outcome("failed", { command_id: "c2", reason: "USER_BUSY" });
  assert.deepEqual(toasts(), ["toast pending: Calling 2003…"]);
  outcome("failed", { reason: "NO_ANSWER" });
  assert.deepEqual(toasts(), ["toast error: No connection to 2003: not answered"]);
  assert.equal(outgoing.attempts.size, 0);
});

test("an outcome that overtakes the reply counts", async () => {
  const call = outgoing.call("2003");
  outcome("failed", { reason: "NORMAL_TEMPORARY_FAILURE" });
  await call;
  assert.deepEqual(toasts(), ["toast error: No connection to 2003: NORMAL_TEMPORARY_FAILURE"]);
});

test("a call that ends, that is never answered, or is refused, has failed", async () => {
  await outgoing.call("2003");
  change(MINE);
  remove("m");
  assert.deepEqual(toasts(), ["toast error: No connection to 2003: not answered"]);
  await outgoing.call("2004");
  page.runTimers(120000);
  assert.equal(toasts().at(-1), "toast error: No connection to 2004: not answered");
  reply = new Error("not allowed");
  assert.equal(await outgoing.call("2005"), false);
  assert.equal(toasts().at(-1), "toast error: No connection to 2005: not allowed");
});

test("the phone listens to a leg of a call", async () => {
  change({ ...MINE, state: "answered" });
  reply.status = "started";
  await outgoing.eavesdrop(calls.calls[0], MINE, "whisper");
  const data = { call_id: "m", from_type: "user", from_id: "u", mode: "whisper" };
  assert.deepEqual(sent, [["eavesdrop", data]]);
  assert.deepEqual(toasts(), ["toast success: Your phone rings: answer it to hear 2001."]);
});

test("without a phone nothing is sent", async () => {
  settings.set("phone", null);
  assert.equal(await outgoing.call("2003"), false);
  assert.deepEqual(sent, []);
  assert.match(toasts()[0], /Choose your phone first/);
});

test("what is under way is forgotten with the page", async () => {
  await outgoing.call("2003");
  outgoing.dispose();
  change(MINE);
  outcome("failed");
  assert.deepEqual(toasts(), []);
});
