import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { AskMe } from "../../kazoo_bridge/console/page/app/ask-me.js";
import { OperatorSettings } from "../../kazoo_bridge/console/page/app/operator-settings.js";
import { RestError } from "../../kazoo_bridge/console/page/app/rest.js";
import { installStorage } from "./fake-storage.mjs";

const FALLBACK = { module: "user", data: { id: "u1" } };
const HANGUP = { module: "hangup" };

class FakeSocket {
  constructor() {
    Object.assign(this, { socketId: "mine", added: [], removed: [], answers: [] });
  }

  addBindings(bindings) {
    this.added.push(...bindings);
  }

  removeBindings(bindings) {
    this.removed.push(...bindings);
  }

  answerPivot(...answer) {
    this.answers.push(answer);
    return new Promise((resolve, reject) => Object.assign(this, { accept: resolve, refuse: reject }));
  }
}

let points, documents;

const rest = {
  get: async (path) => {
    const answer = path.endsWith("/pivots") ? points : documents[path.split("/").at(-1)];
    if (answer instanceof Error) throw answer;
    return answer;
  },
};

const settle = () => new Promise((resolve) => setImmediate(resolve));

let socket, settings, askMe, time, texts;

const request = (id, extra = {}) => ({
  name: "pivot_request",
  data: {
    pivot_id: id,
    pivot_name: "front-desk",
    call_id: "c1",
    caller_id_name: "Ada",
    caller_id_number: "2001",
    to: "+15555550200",
    answer_within_ms: 3000,
    ...extra,
  },
});

const answered = (id, extra) => ({ name: "pivot_answered", data: { pivot_id: id, result: "answered", ...extra } });

beforeEach(() => {
  installStorage();
  time = 1000;
  points = [{ id: "p1", name: "front-desk" }, { id: "p2", name: "bare" }];
  documents = { p1: { id: "p1", name: "front-desk", fallback: FALLBACK, url: "https://secret" }, p2: { id: "p2" } };
  socket = new FakeSocket();
  settings = new OperatorSettings("a");
  const people = () => [{ name: "Ines", userId: "u3" }];
  askMe = new AskMe({ socket, rest, account: { id: "a" } }, settings, people, () => time);
  texts = [];
  askMe.addEventListener("ended", ({ detail }) => texts.push(detail.text));
});

test("an operator is asked only after turning it on, for what was chosen", () => {
  askMe.start();
  assert.deepEqual(socket.added, []);
  askMe.onEvent(request("q1"));
  assert.deepEqual(askMe.questions, []);
  settings.set("askFor", ["front-desk"]);
  settings.set("askFor", ["front-desk", "*"]);
  assert.deepEqual(socket.added, ["pivot.front-desk", "pivot.*"]);
  assert.deepEqual(socket.removed, ["pivot.front-desk"]);
  settings.set("askFor", []);
  assert.deepEqual(socket.removed, ["pivot.front-desk", "pivot.*"]);
  const later = new AskMe({ socket, rest, account: { id: "b" } }, new OperatorSettings("b"));
  later.start();
  assert.equal(later.isOn, false);
});

test("the choice outlives the page", () => {
  settings.set("askFor", ["*"]);
  socket.added = [];
  new AskMe({ socket, rest, account: { id: "a" } }, new OperatorSettings("a")).start();
  assert.deepEqual(socket.added, ["pivot.*"]);
});

test("a question has a caller and its time, once", () => {
  settings.set("askFor", ["*"]);
  askMe.onEvent(request("q1", { digits: "42" }));
  askMe.onEvent(request("q1"));
  const [question, ...others] = askMe.questions;
  assert.deepEqual(others, []);
  assert.deepEqual(question.caller, { name: "Ada", number: "2001" });
  assert.deepEqual([question.dialled, question.digits], ["+15555550200", "42"]);
  time += 1000;
  assert.equal(askMe.remaining(question), 2000);
});

/** Ask a question, and return it when its fallback was loaded. */
async function ask(id, extra = {}) {
  askMe.onEvent(request(id, extra));
  await settle();
  return askMe.questions.find((question) => question.id === id);
}

test("each question has the present fallback of its pivot point, without the secret URL", async () => {
  settings.set("askFor", ["*"]);
  const first = await ask("q1");
  assert.deepEqual([first.fallback, first.isFallbackLost], [FALLBACK, false]);
  assert.equal(JSON.stringify([askMe.points, first]).includes("secret"), false);
  assert.equal((await ask("q2", { pivot_name: "bare" })).fallback, null);
  // The point was changed, and another one was created again: its id is new.
  documents.p1.fallback = HANGUP;
  points[1].id = "p3";
  documents.p3 = { fallback: FALLBACK };
  assert.deepEqual((await ask("q3")).fallback, HANGUP);
  assert.deepEqual((await ask("q4", { pivot_name: "bare" })).fallback, FALLBACK);
});

test("a fallback that cannot be loaded is not known, and the next question tries again", async () => {
  settings.set("askFor", ["*"]);
  documents.p2 = new RestError(404, "bad_identifier");
  const [gone, missing] = [await ask("q1", { pivot_name: "bare" }), await ask("q2", { pivot_name: "other" })];
  assert.deepEqual([gone.fallback, gone.isFallbackLost], [undefined, true]);
  assert.deepEqual([missing.fallback, missing.isFallbackLost], [undefined, true]);
  const list = points;
  points = new RestError(0, "unreachable");
  let changes = 0;
  askMe.addEventListener("change", () => (changes += 1));
  assert.equal((await ask("q3")).isFallbackLost, true);
  assert.equal(changes, 2);
  points = list;
  assert.deepEqual((await ask("q4")).fallback, FALLBACK);
});

test("an answer is sent once, with the operator's name, and ends the question", async () => {
  settings.set("askFor", ["*"]);
  settings.set("phone", { type: "user", id: "u1", name: "Bea (2002)" });
  askMe.onEvent(request("q1"));
  const [question] = askMe.questions;
  const flow = { module: "user", data: { id: "u3" } };
  const answering = askMe.answer(question, flow);
  assert.equal(await askMe.answer(question, HANGUP), false);
  // The event of the own answer may come before the reply.
  askMe.onEvent(answered("q1", { answered_by: { socket_id: "mine" } }));
  assert.equal(askMe.questions.length, 1);
  socket.accept();
  assert.equal(await answering, true);
  assert.deepEqual(socket.answers, [["q1", flow, "Bea (2002)"]]);
  assert.deepEqual(askMe.questions, []);
  assert.deepEqual(texts, ["Ada (2001): Ines"]);
});

test("a refused answer leaves the question, with the reason, until the time is over", async () => {
  settings.set("askFor", ["*"]);
  askMe.onEvent(request("q1"));
  const [question] = askMe.questions;
  const answering = askMe.answer(question, HANGUP);
  socket.refuse(new Error("flow.module: unknown"));
  assert.equal(await answering, false);
  assert.deepEqual([question.error, question.isBusy], ["flow.module: unknown", false]);
  time += 4000;
  askMe.tick();
  assert.equal(askMe.questions.length, 1);
  time += 2000;
  askMe.tick();
  assert.deepEqual(askMe.questions, []);
  assert.deepEqual(texts, ["Ada (2001): the time is over, the call goes as usual"]);
});

test("what others have chosen ends the question and is said", () => {
  settings.set("askFor", ["*"]);
  for (const id of ["q1", "q2", "q3"]) askMe.onEvent(request(id));
  askMe.onEvent(answered("q1", { answered_by: { name: "Desk 2" }, flow: { module: "park" } }));
  askMe.onEvent(answered("q2", { answered_by: {} }));
  askMe.onEvent({ name: "pivot_answered", data: { pivot_id: "q3", result: "timeout" } });
  askMe.onEvent(answered("unknown", {}));
  assert.deepEqual(askMe.questions, []);
  assert.deepEqual(texts, [
    "Ada (2001): parked, by Desk 2",
    "Ada (2001): another client has answered",
    "Ada (2001): the time is over, the call goes as usual",
  ]);
});

test("a dismissed question is left to others, and no more wait than can be shown", () => {
  settings.set("askFor", ["*"]);
  for (let id = 0; id < 30; id += 1) askMe.onEvent(request(`q${id}`));
  assert.equal(askMe.questions.length, 20);
  askMe.dismiss(askMe.questions[0]);
  assert.equal(askMe.questions[0].id, "q1");
  assert.deepEqual(texts, []);
});
