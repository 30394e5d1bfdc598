import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";

import { EventSocket, websocketUrl } from "../../kazoo_bridge/console/page/app/socket.js";

// Node 18 lacks it; the console uses the browser's.
globalThis.CustomEvent ??= class extends Event {
  constructor(type, { detail }) {
    super(type);
    this.detail = detail;
  }
};

class FakeWebSocket {
  static OPEN = 1;
  static instances = [];

  constructor(url) {
    if (url.startsWith("invalid:")) throw new SyntaxError("invalid URL");
    Object.assign(this, { url, readyState: 0, sent: [], closed: false });
    FakeWebSocket.instances.push(this);
  }

  send(text) {
    this.sent.push(JSON.parse(text));
  }

  close() {
    this.readyState = 3;
    this.closed = true;
  }

  accept() {
    this.readyState = FakeWebSocket.OPEN;
    this.onopen();
  }

  receive(frame) {
    this.onmessage({ data: JSON.stringify(frame) });
  }

  /** Reply to the message sent last with this action. */
  reply(action, data, status = "success") {
    const { request_id: requestId } = this.sent.filter((message) => message.action === action).at(-1);
    this.receive({ action: "reply", request_id: requestId, status, data });
  }

  lose(code = 1006, reason = "") {
    this.readyState = 3;
    this.onclose({ code, reason });
  }
}

let socket;
let events;

/** Let promises settle. */
const settle = () => new Promise((resolve) => setImmediate(resolve));

const current = () => FakeWebSocket.instances.at(-1);

const sentActions = () =>
  current().sent.map(({ action, data }) => [action, data?.binding].filter(Boolean).join(" "));

beforeEach(() => {
  globalThis.window = new EventTarget();
  globalThis.WebSocket = FakeWebSocket;
  FakeWebSocket.instances = [];
  socket = new EventSocket("ws://host/", "secret", "acc", ["calls"]);
  events = [];
  for (const type of ["state", "event", "gap", "rejected", "expired"]) {
    socket.addEventListener(type, ({ detail }) => events.push(detail === undefined ? type : [type, detail]));
  }
});

// Stops the timers, which would keep the process alive.
afterEach(() => socket.close());

/** Connect; `resumed` is the server's reply. */
async function connect(resumed = { session: "s1", resumed: false, sequence: 10, gap: false }) {
  if (!socket.isOpen) socket.open();
  current().accept();
  current().reply("resume", resumed);
  await settle();
  for (const { action, request_id: requestId } of [...current().sent]) {
    if (action !== "resume")
      current().receive({ action: "reply", request_id: requestId, status: "success", data: {} });
    await settle();
  }
}

test("a new connection authenticates and subscribes", async () => {
  await connect();
  const [resume, subscribe] = current().sent;
  assert.equal(resume.auth_token, "secret");
  assert.deepEqual(resume.data, {});
  assert.deepEqual(subscribe.data, { account_id: "acc", binding: "calls" });
  assert.ok(socket.state.online);
  assert.deepEqual(events, ["state"]);
});

test("a lost connection resumes the session after the last event", async () => {
  await connect();
  current().receive({ action: "event", name: "NAME", sequence: 12 });
  current().lose(1006, "proxy restarted");
  assert.ok(!socket.state.online);
  assert.equal(socket.state.reason, "proxy restarted");
  assert.ok(socket.state.nextAttempt > socket.state.lastOnline);
  socket.retryNow();
  assert.equal(FakeWebSocket.instances.length, 2);
  await connect({ session: "s1", resumed: true, sequence: 12, gap: false });
  assert.deepEqual(current().sent[0].data, { session: "s1", sequence: 12 });
  assert.deepEqual(sentActions(), ["resume"]);
  assert.ok(socket.state.online);
});

test("after a gap every subscription is renewed", async () => {
  await connect();
  current().lose();
  socket.retryNow();
  current().accept();
  current().reply("resume", { session: "s1", resumed: true, sequence: 99, gap: true });
  await settle();
  current().reply("unsubscribe", {});
  await settle();
  current().reply("subscribe", {});
  await settle();
  assert.deepEqual(sentActions(), ["resume", "unsubscribe", "subscribe calls"]);
  assert.ok(events.includes("gap"));
  assert.ok(socket.state.online);
});

test("a new session starts with the server's sequence", async () => {
  await connect();
  current().lose();
  socket.retryNow();
  await connect({ session: "s2", resumed: false, sequence: 0, gap: true });
  current().lose();
  socket.retryNow();
  current().accept();
  assert.deepEqual(current().sent[0].data, { session: "s2", sequence: 0 });
});

test("a rejected subscription is reported and does not prevent the connection", async () => {
  socket.open();
  current().accept();
  current().reply("resume", { session: "s1", resumed: false, sequence: 0, gap: false });
  await settle();
  current().reply("subscribe", { errors: ["forbidden"] }, "error");
  await settle();
  assert.deepEqual(events, [["rejected", { binding: "calls", reason: "forbidden" }], "state"]);
  assert.ok(socket.state.online);
});

test("an expired or invalid token ends the reconnecting", async () => {
  await connect();
  current().lose(4401);
  assert.equal(events.at(-1), "expired");
  socket.retryNow();
  assert.equal(FakeWebSocket.instances.length, 1);

  socket.open();
  current().accept();
  current().reply("resume", { errors: ["failed to authenticate token secret"] }, "error");
  await settle();
  assert.deepEqual(events.slice(-2), ["expired", "expired"]);
});

test("another error of the server is a reason to try again", async () => {
  socket.open();
  current().accept();
  current().reply("resume", { errors: ["overloaded"] }, "error");
  await settle();
  assert.equal(socket.state.reason, "overloaded");
  assert.notEqual(socket.state.nextAttempt, null);
});

test("an overflow is a gap, and renews the subscription to calls", async () => {
  await connect();
  current().sent.length = 0;
  current().receive({ action: "event", name: "overflow", data: { bindings: { "call.*.*": 3 } } });
  assert.deepEqual(sentActions(), []);
  current().receive({ action: "event", name: "overflow", data: { bindings: { calls: 1 } } });
  assert.deepEqual(sentActions(), ["unsubscribe calls", "subscribe calls"]);
  assert.equal(events.filter((event) => event === "gap").length, 2);
});

test("a command resolves to the server's response, or throws its errors", async () => {
  await connect();
  const accepted = socket.command("call-1", "hold");
  current().reply("command", { response: "hold initiated" });
  assert.equal(await accepted, "hold initiated");
  const rejected = socket.command("call-1", "transfer", { target: "2" });
  assert.deepEqual(current().sent.at(-1).data, {
    account_id: "acc",
    call_id: "call-1",
    command: "transfer",
    data: { target: "2" },
  });
  current().reply("command", { errors: ["no such call", "sorry"] }, "error");
  await assert.rejects(rejected, { message: "no such call; sorry" });
});

test("a command fails when the connection is lost, and without a connection", async () => {
  await connect();
  const pending = socket.command("call-1", "hold");
  current().lose();
  await assert.rejects(pending, /connection was lost/);
  await assert.rejects(socket.command("call-1", "hold"), /not connected/);
});

test("a connection without a frame between two checks is lost", async () => {
  await connect();
  socket.checkHeartbeat();
  assert.equal(current().sent.at(-1).action, "ping");
  current().receive({ action: "event", name: "NAME" });
  socket.checkHeartbeat();
  assert.ok(socket.state.online);
  socket.checkHeartbeat();
  assert.ok(!socket.state.online);
  assert.ok(current().closed);
});

test("a hung server is noticed within eight seconds", async () => {
  const realSetInterval = globalThis.setInterval;
  const intervals = [];
  globalThis.setInterval = (check, intervalMs) => intervals.push({ check, intervalMs });
  try {
    await connect();
  } finally {
    globalThis.setInterval = realSetInterval;
  }
  const [{ check, intervalMs }] = intervals;
  // At worst the last frame arrives just before a check, so that only the next one finds none.
  check();
  assert.ok(socket.state.online);
  check();
  assert.ok(!socket.state.online);
  assert.ok(2 * intervalMs <= 8000);
  await assert.rejects(socket.command("call-1", "hold"), /not connected/);
});

test("a renewed token keeps the connection", async () => {
  await connect();
  socket.renewToken("second");
  const ping = current().sent.at(-1);
  assert.deepEqual([ping.action, ping.auth_token], ["ping", "second"]);
  current().lose();
  socket.retryNow();
  current().accept();
  assert.equal(current().sent[0].auth_token, "second");
});

test("a renewed token connects again after the previous one has expired", async () => {
  await connect();
  current().lose(4401);
  assert.ok(!socket.state.online);
  socket.renewToken("second");
  assert.equal(FakeWebSocket.instances.length, 2);
  await connect({ session: "s1", resumed: true, sequence: 10, gap: false });
  assert.equal(current().sent[0].auth_token, "second");
  assert.ok(socket.state.online);
});

test("events of a replaced connection are ignored", async () => {
  await connect();
  const old = current();
  old.lose();
  socket.retryNow();
  events.length = 0;
  old.receive({ action: "event", name: "NAME" });
  old.lose();
  assert.deepEqual(events, []);
});

test("a URL that the browser refuses is a reason to be offline", () => {
  socket.url = "invalid:";
  socket.open();
  assert.match(socket.state.reason, /refuses to connect to invalid:/);
});

test("the delay before the next attempt doubles up to a maximum, with jitter", async () => {
  const realSetTimeout = globalThis.setTimeout;
  const realRandom = Math.random;
  const delays = [];
  try {
    await connect();
    globalThis.setTimeout = (_, delayMs) => delays.push(delayMs);
    for (const random of [0, 1, 0, 1, 1, 1]) {
      Math.random = () => random;
      socket.disconnected(1006, "");
    }
  } finally {
    globalThis.setTimeout = realSetTimeout;
    Math.random = realRandom;
  }
  assert.deepEqual(delays, [500, 2000, 2000, 8000, 15000, 15000]);
});

test("a closed socket does not reconnect", async () => {
  await connect();
  const last = current();
  socket.close();
  socket.retryNow();
  window.dispatchEvent(new Event("online"));
  assert.ok(last.closed);
  assert.equal(FakeWebSocket.instances.length, 1);
});

test("a connected socket ignores a request to retry", async () => {
  await connect();
  socket.retryNow();
  assert.equal(FakeWebSocket.instances.length, 1);
});

test("a restored network connects without delay", async () => {
  await connect();
  current().lose();
  window.dispatchEvent(new Event("online"));
  assert.equal(FakeWebSocket.instances.length, 2);
});

test("the URL comes from the settings, or from the page's own host", () => {
  const page = { protocol: "http:", hostname: "bridge.example.com" };
  assert.equal(websocketUrl({ uri: "wss://ws.example.com/" }, page), "wss://ws.example.com/");
  assert.equal(websocketUrl({ uri: "", secure: false, port: 8 }, page), "ws://bridge.example.com:8/");
  assert.equal(websocketUrl({ uri: "", secure: true, port: 8 }, page), "wss://bridge.example.com:8/");
  const securePage = { ...page, protocol: "https:" };
  assert.equal(websocketUrl({ uri: "", secure: false, port: 8 }, securePage), "wss://bridge.example.com:8/");
});

test("a new call needs no call id, and its later states arrive as outcomes", async () => {
  await connect();
  const outcomes = [];
  socket.addEventListener("outcome", ({ detail }) => outcomes.push(detail));
  const reply = socket.newCall("originate", { to: "2003" });
  const { data, request_id: requestId } = current().sent.at(-1);
  assert.deepEqual(data, { account_id: "acc", command: "originate", data: { to: "2003" } });
  current().receive({ action: "reply", request_id: requestId, status: "success", data: { command_id: "c" } });
  assert.deepEqual(await reply, { command_id: "c" });
  current().receive({ action: "command_outcome", request_id: requestId, data: { command_id: "c", status: "failed" } });
  assert.deepEqual(outcomes, [{ command_id: "c", status: "failed" }]);
});

test("bindings are ended at once, and not subscribed to again", async () => {
  socket.addBindings(["pivot.*", "weather.*"]);
  await connect({ session: "s1", resumed: false, sequence: 10, gap: false });
  socket.removeBindings(["pivot.*"]);
  assert.deepEqual(sentActions().slice(4), ["unsubscribe pivot.*"]);
  current().lose();
  socket.removeBindings(["weather.*"]);
  socket.retryNow();
  await connect({ session: "s2", resumed: false, sequence: 10, gap: true });
  assert.deepEqual(sentActions(), ["resume", "subscribe calls"]);
});

test("an answer to a question about a call names the operator", async () => {
  await connect({ session: "s1", resumed: false, sequence: 10, gap: false });
  socket.answerPivot("q1", { module: "park" }, "Ines").catch(() => {});
  socket.answerPivot("q2", { module: "park" }).catch(() => {});
  const [first, second] = current().sent.slice(-2);
  assert.deepEqual(first.data, { account_id: "acc", pivot_id: "q1", flow: { module: "park" } });
  assert.deepEqual([first.action, first.name, second.name], ["pivot", "operator console (Ines)", "operator console"]);
});

test("further bindings are subscribed to at once, and with the next connection", async () => {
  socket.addBindings(["early.*"]);
  await connect({ session: "s1", websocket_session_id: "192.0.2.1:7", resumed: false, sequence: 10, gap: false });
  assert.equal(socket.socketId, "192.0.2.1:7");
  assert.deepEqual(sentActions(), ["resume", "subscribe calls", "subscribe early.*"]);
  socket.addBindings(["calls", "weather.*"]);
  assert.deepEqual(sentActions().slice(3), ["subscribe weather.*"]);
  current().lose();
  socket.retryNow();
  await connect({ session: "s2", resumed: false, sequence: 10, gap: true });
  assert.deepEqual(sentActions().slice(1), ["subscribe calls", "subscribe early.*", "subscribe weather.*"]);
  assert.equal(socket.socketId, null);
});

/** Reply to each message that has had no reply yet, those that follow included. */
async function replyToAll() {
  const replied = new Set();
  for (let message; (message = current().sent.find(({ request_id: id }) => !replied.has(id))); await settle()) {
    replied.add(message.request_id);
    current().receive({ action: "reply", request_id: message.request_id, status: "success", data: {} });
  }
}

test("bindings that change while the first subscriptions are under way are subscribed to before it is online", async () => {
  socket.open();
  current().accept();
  socket.addBindings(["early.*"]);
  current().reply("resume", { session: "s1", resumed: false, sequence: 10, gap: false });
  await settle();
  socket.addBindings(["plugin.a"]);
  socket.removeBindings(["early.*"]);
  assert.ok(!socket.state.online);
  await replyToAll();
  assert.deepEqual(sentActions(), [
    "resume",
    "subscribe calls",
    "subscribe early.*",
    "subscribe plugin.a",
    "unsubscribe early.*",
  ]);
  assert.ok(socket.state.online);
});

test("a resumed session gets the bindings that changed during the outage, and only these", async () => {
  socket.addBindings(["pivot.old"]);
  await connect();
  current().lose();
  socket.removeBindings(["pivot.old"]);
  socket.addBindings(["pivot.new"]);
  socket.retryNow();
  await connect({ session: "s1", resumed: true, sequence: 12, gap: false });
  assert.deepEqual(sentActions(), ["resume", "subscribe pivot.new", "unsubscribe pivot.old"]);
  assert.ok(socket.state.online);
});

test("a resumed session gets the bindings whose replies were lost", async () => {
  await connect();
  socket.addBindings(["weather.*"]);
  current().lose();
  socket.retryNow();
  await connect({ session: "s1", resumed: true, sequence: 12, gap: false });
  assert.deepEqual(sentActions(), ["resume", "subscribe weather.*"]);
});

test("a rejected subscription is not requested again in the same session", async () => {
  socket.open();
  current().accept();
  current().reply("resume", { session: "s1", resumed: false, sequence: 0, gap: false });
  await settle();
  current().reply("subscribe", { errors: ["forbidden"] }, "error");
  await settle();
  current().lose();
  socket.retryNow();
  await connect({ session: "s1", resumed: true, sequence: 0, gap: false });
  assert.deepEqual(sentActions(), ["resume"]);
});
