import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { LiveCalls } from "../../kazoo_bridge/console/page/app/calls.js";
import { CallCommands } from "../../kazoo_bridge/console/page/app/commands.js";
import { findButton, installDocument } from "./fake-dom.mjs";

const CALLER = {
  call_id: "a",
  state: "answered",
  direction: "inbound",
  timestamp: 1,
  other_leg_call_id: "b",
};
const CALLEE = {
  call_id: "b",
  state: "answered",
  direction: "outbound",
  timestamp: 2,
  owner_id: "u",
  other_leg_call_id: "a",
};

let page;
let calls;
let commands;
let sent;

beforeEach(() => {
  page = installDocument();
  calls = new LiveCalls();
  sent = [];
  const socket = {
    command: async (...command) => {
      sent.push(command);
      if (socket.error) throw socket.error;
      return "initiated";
    },
  };
  commands = new CallCommands(socket, calls);
});

function showCall(...legs) {
  calls.applyEvent({ name: "snapshot", data: { calls: legs } });
  return calls.calls[0];
}

const toastTexts = () => page.toasts.elements.map((toast) => toast.elements[0].textContent);

test("the account's leg holds and transfers, and the remote leg is parked", async () => {
  const call = showCall(CALLER, CALLEE);
  await commands.hold(call);
  await commands.resume(call);
  await commands.park(call);
  await commands.transfer(call, "2005", "attended");
  assert.deepEqual(sent, [
    ["b", "hold", {}],
    ["b", "resume", {}],
    ["a", "park", {}],
    ["b", "transfer", { target: "2005", "transfer-type": "attended" }],
  ]);
});

test("a parked call is retrieved from its slot, and transferred by intercept", async () => {
  const call = showCall({ ...CALLER, state: "parked", parking_slot: "101" });
  await commands.unpark(call);
  await commands.transfer(call, "2005", "blind");
  assert.deepEqual(sent, [
    ["a", "unpark", { slot: "101" }],
    ["a", "intercept", { target_type: "number", target_id: "2005" }],
  ]);
});

test("the result of a command is shown", async () => {
  const call = showCall({ ...CALLER, caller_id_name: "Ada" });
  assert.equal(await commands.hold(call), true);
  commands.socket.error = new Error("not permitted");
  assert.equal(await commands.hold(call), false);
  assert.deepEqual(toastTexts(), ["Ada: initiated", "Ada to unknown: hold failed: not permitted"]);
});

test("a call is hung up only after confirmation", async () => {
  const call = showCall(CALLER, CALLEE);
  const cancelled = commands.hangup(call);
  findButton(page.body, "Cancel").click();
  assert.equal(await cancelled, false);
  assert.deepEqual(sent, []);
  const confirmed = commands.hangup(call);
  findButton(page.body, "Hang up").click();
  assert.equal(await confirmed, true);
  assert.deepEqual(sent, [["a", "hangup", {}]]);
});

test("a call that ends during the confirmation is not hung up", async () => {
  const hangup = commands.hangup(showCall(CALLER));
  calls.applyEvent({ name: "removed", data: { call_ids: ["a"] } });
  findButton(page.body, "Hang up").click();
  assert.equal(await hangup, true);
  assert.deepEqual(sent, []);
  assert.deepEqual(toastTexts(), ["unknown to unknown: the call has already ended"]);
});

test("a command to a parked call goes to its parked leg", async () => {
  await commands.unpark(showCall(CALLER, { ...CALLEE, state: "parked" }));
  assert.deepEqual(sent, [["b", "unpark", {}]]);
  sent.length = 0;
  await commands.unpark(showCall(CALLER, CALLEE));
  assert.deepEqual(sent, [["a", "unpark", {}]]);
});
