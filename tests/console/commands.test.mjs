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
  caller_id_name: "Ada",
  other_leg_call_id: "b",
};
const CALLEE = {
  call_id: "b",
  state: "answered",
  direction: "outbound",
  timestamp: 2,
  callee_id_name: "Desk",
  owner_id: "u",
  other_leg_call_id: "a",
};
const TARGET = {
  call_id: "t",
  state: "ringing",
  direction: "outbound",
  timestamp: 3,
  callee_id_name: "Cy",
  callee_id_number: "2005",
  owner_id: "v",
  other_leg_call_id: "a",
};

const EFFECT_TIMEOUT_MS = 8000;
const RING_TIMEOUT_MS = 60000;

let page;
let calls;
let socket;
let commands;
let sent;

beforeEach(() => {
  page = installDocument();
  calls = new LiveCalls();
  sent = [];
  socket = {
    state: { online: true },
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

const change = (...legs) => calls.applyEvent({ name: "changed", data: { calls: legs } });
const remove = (...ids) => calls.applyEvent({ name: "removed", data: { call_ids: ids } });
const toasts = () =>
  page.toasts.elements.map((toast) => `${toast.attributes.class}: ${toast.elements[0].textContent}`);

test("the account's leg holds and transfers, and the remote leg is parked", async () => {
  const held = { ...CALLEE, state: "held" };
  for (const [action, callee] of [
    [(call) => commands.hold(call), CALLEE],
    [(call) => commands.resume(call), held],
    [(call) => commands.park(call), CALLEE],
    [(call) => commands.transfer(call, "2005", "attended"), CALLEE],
  ]) {
    await action(showCall(CALLER, callee));
    commands.dispose();
    commands = new CallCommands(socket, calls);
  }
  assert.deepEqual(sent, [
    ["b", "hold", {}],
    ["b", "resume", {}],
    ["a", "park", {}],
    ["b", "transfer", { target: "2005", "transfer-type": "attended" }],
  ]);
  assert.deepEqual(toasts(), []);
});

test("a command and its outcome show at the call for a time, until the next command", async () => {
  let changes = 0;
  commands.addEventListener("change", () => (changes += 1));
  const held = { ...CALLEE, state: "held" };
  const call = showCall(CALLER, CALLEE);
  const other = { ...call, legs: [{ ...CALLER, call_id: "x" }] };
  assert.equal(commands.statusOf(call), null);
  const passedOn = commands.hold(call);
  assert.deepEqual(commands.statusOf(call), { kind: "pending", text: "Putting on hold…" });
  assert.equal(commands.statusOf(other), null);
  await passedOn;
  change(held);
  assert.deepEqual(commands.statusOf(calls.calls[0]), { kind: "success", text: "Put on hold" });
  await commands.transfer(calls.calls[0], "2005", "blind");
  assert.deepEqual(commands.statusOf(call), { kind: "pending", text: "Transferring to 2005…" });
  page.runTimers(EFFECT_TIMEOUT_MS);
  assert.deepEqual(commands.statusOf(call), { kind: "error", text: "Nothing happened" });
  const before = changes;
  page.runTimers(15000);
  assert.equal(commands.statusOf(call), null);
  assert.ok(changes > before);
});

test("the outcome of a transfer shows at what has become of the call", async () => {
  await commands.transfer(showCall(CALLER, CALLEE), "2005", "blind");
  remove("b");
  change({ ...CALLER, other_leg_call_id: "t" }, TARGET);
  assert.equal(commands.statusOf(calls.calls[0]).text, "Cy (2005) is ringing for Ada…");
  change({ ...TARGET, state: "answered" });
  assert.deepEqual(commands.statusOf(calls.calls[0]), { kind: "success", text: "Transferred to 2005" });
});

test("a call shows the refusal of the server, and what no event shows", async () => {
  const call = showCall(CALLER, CALLEE);
  socket.error = new Error("not allowed");
  await commands.park(call);
  assert.deepEqual(commands.statusOf(call), { kind: "error", text: "Not allowed" });
  socket.error = null;
  await commands.say(call, call.legs[0], "hello");
  assert.deepEqual(commands.statusOf(call), { kind: "info", text: "Asked the switch" });
  await commands.park(call);
  socket.state.online = false;
  page.runTimers(EFFECT_TIMEOUT_MS);
  assert.deepEqual(commands.statusOf(call), { kind: "error", text: "Result unknown" });
});

test("a parked call is retrieved from its slot", async () => {
  await commands.unpark(showCall({ ...CALLER, state: "parked", parking_slot: "101" }));
  assert.deepEqual(sent, [["a", "unpark", { slot: "101" }]]);
});

test("a parked call is transferred by intercept", async () => {
  await commands.transfer(showCall(CALLER, { ...CALLEE, state: "parked" }), "2005", "blind");
  assert.deepEqual(sent, [["b", "intercept", { target_type: "number", target_id: "2005" }]]);
});

test("commands to one leg name its party, and are no success", async () => {
  const call = showCall(CALLER, CALLEE);
  await commands.record(call, call.legs[0], "start");
  await commands.say(call, call.legs[1], "hello");
  await commands.stopPlayback(call, call.legs[1]);
  assert.deepEqual(sent, [
    ["a", "record_call", { action: "start" }],
    ["b", "say", { text: "hello" }],
    ["b", "break", {}],
  ]);
  assert.deepEqual(toasts(), [
    "toast info: Asked the switch to start the recording of Ada; it does not report the result",
    "toast info: Asked the switch to say this to Desk; it does not report the result",
    "toast info: Asked the switch to stop the playback to Desk; it does not report the result",
  ]);
});

test("a command is pending until the call shows its effect", async () => {
  const call = showCall(CALLER, CALLEE);
  const reply = commands.hold(call);
  assert.deepEqual(toasts(), ["toast pending: Putting Ada on hold…"]);
  assert.equal(await reply, true);
  assert.deepEqual(toasts(), ["toast pending: Putting Ada on hold…"]);
  change({ ...CALLEE, state: "held" });
  assert.deepEqual(toasts(), ["toast success: Ada is on hold"]);
});

for (const [name, legs, effect, result] of [
  ["resume", [{ ...CALLER, state: "held" }, CALLEE], CALLER, "Ada is off hold"],
  ["park", [CALLER], { ...CALLER, state: "parked", parking_slot: "101" }, "Ada is parked in 101"],
  ["unpark", [{ ...CALLER, state: "parked" }], [CALLER, CALLEE], "Desk is connected to Ada"],
])
  test(`the effect of ${name} is shown`, async () => {
    await commands[name](showCall(...legs));
    change(...[effect].flat());
    assert.deepEqual(toasts(), [`toast success: ${result}`]);
  });

test("a command that the server refuses has failed", async () => {
  const call = showCall(CALLER, CALLEE);
  socket.error = new Error("not permitted");
  assert.equal(await commands.hold(call), false);
  assert.deepEqual(toasts(), ["toast error: Could not put Ada on hold: not permitted"]);
  assert.ok(!commands.isBusy(call));
});

test("a command without effect has failed", async () => {
  await commands.transfer(showCall(CALLER, CALLEE), "zz zz", "blind");
  assert.deepEqual(toasts(), ["toast pending: Transferring Ada to zz zz…"]);
  page.runTimers(EFFECT_TIMEOUT_MS);
  assert.deepEqual(toasts(), ["toast error: Could not transfer Ada to zz zz: nothing happened"]);
});

test("without a connection the result of a command is unknown", async () => {
  await commands.hold(showCall(CALLER, CALLEE));
  socket.state = { online: false };
  page.runTimers(EFFECT_TIMEOUT_MS);
  assert.deepEqual(toasts(), [
    "toast error: Putting Ada on hold… The connection was lost, so the result is unknown.",
  ]);
});

test("a command to a call that ends has failed", async () => {
  await commands.hold(showCall(CALLER, CALLEE));
  remove("a", "b");
  assert.deepEqual(toasts(), ["toast error: Could not put Ada on hold: the call has ended"]);
});

test("a blind transfer ends when the target answers", async () => {
  await commands.transfer(showCall(CALLER, CALLEE), "2005", "blind");
  remove("b");
  assert.deepEqual(toasts(), ["toast pending: Transferring Ada to 2005…"]);
  change(TARGET);
  assert.deepEqual(toasts(), ["toast pending: Cy (2005) is ringing for Ada…"]);
  change({ ...TARGET, state: "answered" });
  assert.deepEqual(toasts(), ["toast success: Cy (2005) is connected to Ada"]);
});

test("a blind transfer to a target without a phone ends when the transferring party has left", async () => {
  await commands.transfer(showCall(CALLER, CALLEE), "*97", "blind");
  remove("b");
  page.runTimers(10000);
  assert.deepEqual(toasts(), ["toast success: Ada was transferred to *97"]);
});

test("a blind transfer to a target that does not answer has failed", async () => {
  await commands.transfer(showCall(CALLER, CALLEE), "2005", "blind");
  remove("b");
  change(TARGET);
  remove("t");
  assert.deepEqual(toasts(), ["toast pending: 2005 no longer rings for Ada…"]);
  page.runTimers(3000);
  assert.deepEqual(toasts(), ["toast error: 2005 did not answer"]);
});

test("a party that leaves while the target rings is named", async () => {
  await commands.transfer(showCall(CALLER, CALLEE), "2005", "blind");
  remove("b");
  change(TARGET);
  remove("t", "a");
  assert.deepEqual(toasts(), ["toast error: 2005 did not answer, and Ada has left"]);
});

test("an attended transfer that is not answered leaves the parties as they were", async () => {
  await commands.transfer(showCall(CALLER, CALLEE), "2005", "attended");
  assert.deepEqual(toasts(), ["toast pending: Calling 2005 for Ada…"]);
  change({ ...CALLER, state: "held" }, TARGET);
  remove("t");
  change(CALLER);
  page.runTimers(3000);
  assert.deepEqual(toasts(), ["toast error: 2005 did not answer, Ada is back"]);
});

test("while the parties of an attended transfer consult, the other one waits", async () => {
  await commands.transfer(showCall(CALLER, CALLEE), "2005", "attended");
  change({ ...CALLER, state: "held" }, { ...TARGET, state: "answered" });
  assert.deepEqual(toasts(), ["toast success: Cy (2005) has answered, Ada waits"]);
});

test("an attended transfer ends when the target answers and the other party leaves", async () => {
  await commands.transfer(showCall(CALLER, CALLEE), "2005", "attended");
  change({ ...CALLER, state: "held" }, TARGET);
  remove("b");
  change({ ...TARGET, state: "answered" });
  assert.deepEqual(toasts(), ["toast success: Cy (2005) is connected to Ada"]);
});

test("the target of an intercept may ring without being connected to the call", async () => {
  await commands.intercept(showCall(CALLER, CALLEE), CALLER, "number", "2005");
  page.runTimers(EFFECT_TIMEOUT_MS);
  assert.deepEqual(toasts(), ["toast pending: Calling 2005 for Ada…"]);
  change({ ...TARGET, state: "answered" });
  assert.deepEqual(toasts(), ["toast success: Cy (2005) is connected to Ada"]);
});

test("an intercept that is not answered has failed", async () => {
  await commands.intercept(showCall({ ...CALLER, state: "parked" }), CALLER, "number", "2005");
  page.runTimers(EFFECT_TIMEOUT_MS);
  page.runTimers(RING_TIMEOUT_MS);
  assert.deepEqual(toasts(), ["toast error: 2005 did not answer"]);
});

test("a second command waits until the first has had an effect", async () => {
  const call = showCall(CALLER, CALLEE);
  await Promise.all([commands.park(call), commands.park(call), commands.hold(call)]);
  await commands.park(call);
  assert.deepEqual(sent, [["a", "park", {}]]);
  assert.ok(commands.isBusy(call));
  assert.ok(!commands.isBusy({ legs: [{ call_id: "other" }] }));
  change({ ...CALLER, state: "parked" });
  assert.ok(!commands.isBusy(calls.calls[0]));
  await commands.unpark(calls.calls[0]);
  assert.equal(sent.length, 2);
});

test("a call that does not react can be hung up", async () => {
  const call = showCall(CALLER, CALLEE);
  const reply = commands.hold(call);
  assert.ok(commands.isBusy(call, "hangup"));
  await reply;
  assert.ok(!commands.isBusy(call, "hangup"));
  const hangup = commands.hangup(call);
  findButton(page.body, "Hang up").click();
  await hangup;
  assert.ok(commands.isBusy(call, "hangup"));
  assert.equal(await commands.hangup(call), false);
  assert.deepEqual(
    sent.map(([, command]) => command),
    ["hold", "hangup"],
  );
  assert.deepEqual(toasts(), ["toast pending: Hanging up Ada to Desk…"]);
  remove("a", "b");
  assert.deepEqual(toasts(), ["toast success: Ada to Desk: hung up"]);
});

test("while the target of a transfer rings, other commands are possible", async () => {
  await commands.transfer(showCall(CALLER, CALLEE), "2005", "attended");
  change({ ...CALLER, state: "held" }, TARGET);
  await commands.resume(calls.calls[0]);
  assert.deepEqual(toasts(), ["toast pending: Taking Ada off hold…"]);
});

test("views hear when a call becomes busy and when it is no longer", async () => {
  const busy = [];
  const call = showCall(CALLER, CALLEE);
  commands.addEventListener("change", () => busy.push(commands.isBusy(call)));
  await commands.hold(call);
  change({ ...CALLEE, state: "held" });
  assert.deepEqual([busy[0], busy.at(-1)], [true, false]);
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

test("the question names the parties that the call has now", async () => {
  const hangup = commands.hangup(showCall(CALLER, CALLEE));
  const question = () =>
    page.body
      .descendants()
      .find(({ tag }) => tag === "dialog")
      .descendants()
      .find(({ tag }) => tag === "p").textContent;
  assert.equal(question(), "Ada to Desk");
  remove("b");
  change({ ...CALLER, other_leg_call_id: "t" }, { ...TARGET, state: "answered" });
  assert.equal(question(), "Ada to Cy (2005)");
  findButton(page.body, "Cancel").click();
  await hangup;
});

test("a call that ends during the confirmation is not hung up", async () => {
  const hangup = commands.hangup(showCall(CALLER));
  remove("a");
  findButton(page.body, "Hang up").click();
  assert.equal(await hangup, false);
  assert.deepEqual(sent, []);
  assert.deepEqual(toasts(), ["toast success: Ada to unknown: the call has already ended"]);
});

const PHONE = { type: "user", id: "u9", name: "My desk (2009)" };

test("a call is picked up by the operator's phone: the party that waits is connected to it", async () => {
  await commands.pickUp(showCall(CALLER, { ...CALLEE, state: "held" }), PHONE, true);
  assert.deepEqual(sent, [["a", "intercept", { target_type: "user", target_id: "u9", auto_answer: true }]]);
  assert.deepEqual(toasts(), ["toast pending: Connecting Ada to My desk (2009)…"]);
});

test("a call is parked in a slot of choice", async () => {
  await commands.park(showCall(CALLER, CALLEE), "104");
  assert.deepEqual(sent, [["a", "park", { slot: "104" }]]);
});

test("a transfer names the person, and dials the number", async () => {
  await commands.transfer(showCall(CALLER, CALLEE), "2005", "blind", "Cy (2005)");
  assert.deepEqual(sent, [["b", "transfer", { target: "2005", "transfer-type": "blind" }]]);
  assert.deepEqual(toasts(), ["toast pending: Transferring Ada to Cy (2005)…"]);
});

test("an attended transfer is completed by the party that made it, whose leg ends", async () => {
  await commands.transfer(showCall(CALLER, CALLEE), "2005", "attended");
  const target = { ...TARGET, state: "answered" };
  change({ ...CALLER, state: "held" }, CALLEE, target);
  const consultation = commands.consultations.of(calls.calls[0]);
  assert.deepEqual([consultation.isAnswered, consultation.target.call_id], [true, "t"]);
  await commands.complete(calls.calls[0]);
  assert.deepEqual(sent.at(-1), ["b", "hangup", {}]);
  assert.equal(toasts().at(-1), "toast pending: Connecting Ada to Cy (2005)…");
  calls.applyEvent({ name: "removed", data: { call_ids: ["b"], calls: [CALLER, target] } });
  assert.equal(toasts().at(-1), "toast success: Ada is connected to Cy (2005)");
  assert.equal(commands.consultations.of(calls.calls[0]), null);
});

test("an attended transfer is cancelled: the target leaves", async () => {
  await commands.transfer(showCall(CALLER, CALLEE), "2005", "attended");
  change({ ...CALLER, state: "held" }, TARGET);
  await commands.cancel(calls.calls[0]);
  assert.deepEqual(sent.at(-1), ["t", "hangup", {}]);
  remove("t");
  assert.equal(toasts().at(-1), "toast success: Ada is back");
});

test("an attended transfer is swapped: the phone that consults takes the call that it holds, and back", async () => {
  const agent = { ...CALLEE, authorizing_id: "d", authorizing_type: "device" };
  const target = { ...TARGET, state: "answered" };
  await commands.transfer(showCall(CALLER, agent), "2005", "attended");
  change({ ...CALLER, state: "held" }, target);
  await commands.swap(calls.calls[0]);
  assert.deepEqual(sent.at(-1), ["a", "intercept", { target_type: "device", target_id: "d" }]);
  change(CALLER, { ...target, state: "held" });
  assert.equal(toasts().at(-1), "toast success: Ada is off hold");
  change({ ...agent, authorizing_type: undefined });
  await commands.swap(calls.calls[0]);
  assert.deepEqual(sent.at(-1), ["t", "intercept", { target_type: "user", target_id: "u" }]);
});

test("a blind transfer, and one that was refused, are no consultations", async () => {
  await commands.transfer(showCall(CALLER, CALLEE), "2005", "blind");
  assert.equal(commands.consultations.begun.size, 0);
  commands.dispose();
  socket.error = new Error("no");
  await commands.transfer(showCall(CALLER, CALLEE), "2005", "attended");
  assert.equal(commands.consultations.begun.size, 0);
});

test("a recording that was asked for shows at its call, one that was refused does not", async () => {
  const call = showCall(CALLER, CALLEE);
  await commands.record(call, CALLEE, "start");
  assert.equal(commands.recordings.of(call), "on");
  commands.dispose();
  socket.error = new Error("no");
  await commands.record(call, CALLEE, "stop");
  assert.equal(commands.recordings.of(call), "on");
});

test("the operator's phone holds, parks and transfers where it is in the call", async () => {
  const colleague = { ...CALLER, owner_id: "w" };
  for (const act of ["hold", "park"]) {
    commands.isMine = ({ call_id: id }) => id === "b";
    await commands[act](showCall(colleague, CALLEE));
    commands.dispose();
    commands = new CallCommands(socket, calls);
    await commands[act](showCall(colleague, CALLEE));
    commands.dispose();
    commands = new CallCommands(socket, calls);
  }
  assert.deepEqual(
    sent.map(([id, name]) => `${name} ${id}`),
    ["hold b", "hold a", "park a", "park b"],
  );
});
