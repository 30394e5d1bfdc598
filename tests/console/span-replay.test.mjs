import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { MAX_DELIVERIES, SpanReplay } from "../../kazoo_bridge/console/page/app/span-replay.js";

const path = (...segments) => segments.join("/");
const attempt = (id, delivery, more = {}) => ({ id, event_id: "e", req_headers: { "webhook-id": delivery }, ...more });
const failure = (status, message = "no") => Object.assign(new Error(message), { status });

let waits;

beforeEach(() => {
  waits = [];
  globalThis.setTimeout = (callback, delayMs) => {
    waits.push(delayMs);
    queueMicrotask(callback);
  };
});

/** A REST client whose attempts are in pages, newest first; `send(id)` may throw. */
function fakeRest(pages, send = () => {}) {
  const queries = [];
  const sent = [];
  return {
    queries,
    sent,
    async request(method, at, { query }) {
      queries.push(query);
      const page = Number(query.start_key ?? 0);
      const next = page + 1 < pages.length ? { next_start_key: String(page + 1) } : {};
      return { data: pages[page], ...next };
    },
    async send(method, at) {
      const id = at.split("/")[1];
      sent.push(id);
      return send(id);
    },
  };
}

test("one attempt at each delivery is found, over all pages, oldest first, without tests", async () => {
  const rest = fakeRest([
    [attempt("5", "b"), attempt("4", "a")],
    [attempt("3", "t", { test: true }), attempt("2", "b"), { id: "1", event_id: "old" }],
  ]);
  const counts = [];
  const replay = new SpanReplay(rest, path, { filter_result: "failure" });
  const { attempts, isMore } = await replay.find((count) => counts.push(count));
  assert.deepEqual(attempts.map(({ id }) => id), ["1", "4", "5"]);
  assert.equal(isMore, false);
  assert.deepEqual(counts, [2, 3]);
  assert.deepEqual(rest.queries.map((query) => query.filter_result), ["failure", "failure"]);
});

test("of too many deliveries the newest are replayed, and no more pages are read", async () => {
  const page = (start) => Array.from({ length: 100 }, (_, index) => attempt(`${start + index}`, `d${start + index}`));
  const rest = fakeRest(Array.from({ length: 20 }, (_, index) => page(index * 100)));
  const { attempts, isMore } = await new SpanReplay(rest, path, {}).find(() => {});
  assert.equal(isMore, true);
  assert.equal(attempts.length, MAX_DELIVERIES);
  assert.equal(attempts.at(-1).id, "0");
  assert.equal(rest.queries.length, MAX_DELIVERIES / 100 + 1);
});

test("what the server refuses is counted, and does not end the replay", async () => {
  const rest = fakeRest([], (id) => {
    if (id === "2") throw failure(409, "the payload was not kept");
  });
  const done = [];
  const result = await new SpanReplay(rest, path, {}).run([{ id: "1" }, { id: "2" }, { id: "3" }], (count) => done.push(count));
  assert.deepEqual(result, { replayed: 2, refused: 1, reason: "the payload was not kept" });
  assert.deepEqual(done, [1, 2, 3]);
});

test("a busy server is waited for, another error ends the replay", async () => {
  let busy = 2;
  const rest = fakeRest([], () => {
    if (busy > 0) {
      busy -= 1;
      throw failure(429);
    }
    throw failure(503, "gone");
  });
  await assert.rejects(new SpanReplay(rest, path, {}).run([{ id: "1" }, { id: "2" }], () => {}), /gone/);
  assert.deepEqual(rest.sent, ["1", "1", "1"]);
  assert.equal(waits.length, 2);
});

test("a stop takes effect after the request that is under way", async () => {
  const rest = fakeRest([], () => replay.stop());
  const replay = new SpanReplay(rest, path, {});
  assert.equal((await replay.run([{ id: "1" }, { id: "2" }], () => {})).replayed, 1);
  assert.deepEqual(rest.sent, ["1"]);
});

test("of too many attempts at few deliveries not all pages are read, and the result says so", async () => {
  const rest = fakeRest(Array.from({ length: 101 }, (_, page) => [attempt(`${page}`, "same")]));
  const { attempts, isMore } = await new SpanReplay(rest, path, {}).find(() => {});
  assert.deepEqual([attempts.length, isMore, rest.queries.length], [1, true, 100]);
});
