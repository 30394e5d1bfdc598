import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { now } from "../../kazoo_bridge/console/page/app/clock.js";
import { DeliverySender } from "../../kazoo_bridge/console/page/app/delivery-sender.js";
import { RestError } from "../../kazoo_bridge/console/page/app/rest.js";
import { installDocument } from "./fake-dom.mjs";

let page;
let rest;

const path = (...segments) => segments.join("/");
const texts = () => page.toasts.elements.map((toast) => toast.elements[0].textContent);
const kinds = () => page.toasts.elements.map((toast) => toast.getAttribute("class"));

beforeEach(() => {
  page = installDocument();
  // Waiting for the next look takes no time.
  globalThis.setTimeout = (callback, delayMs) => delayMs === 1000 && queueMicrotask(callback);
  rest = {
    sent: [],
    /** What each look at the delivery finds, the last one repeatedly. */
    looks: [{}],
    attempts: [],
    send: async (method, target) => {
      rest.sent.push(`${method} ${target}`);
      if (rest.error) throw rest.error;
      return { id: "d1" };
    },
    request: async (_, target, { query }) => {
      if (target === "attempts") return { data: rest.attempts };
      assert.equal(query.filter_id, "d1");
      const look = rest.looks[0];
      if (query.status === "dead" || look.pending) rest.looks.splice(0, rest.looks.length > 1 ? 1 : 0);
      return { data: look[query.status] ? [look[query.status]] : [] };
    },
  };
});

function makeSender(isDisabled = false) {
  const sender = new DeliverySender(rest, path, async () => {
    rest.sent.push("enable");
    sender.isDisabled = false;
  });
  sender.isDisabled = isDisabled;
  return sender;
}

const waiting = () => ({ pending: { attempts: 0, next_attempt: now() } });

test("a replay is requested once, followed, and its answer shown", async () => {
  rest.looks = [waiting(), waiting(), {}];
  const answer = { result: "success", req_headers: { "webhook-id": "d1" }, resp_status_code: "204" };
  rest.attempts = [{ ...answer, timestamp: now(), req_headers: {} }, { ...answer, timestamp: now() }];
  await makeSender().replay("7");
  assert.deepEqual(rest.sent, ["POST attempts/7/replay"]);
  assert.deepEqual(texts(), ["The delivery was sent: the receiver answered 204"]);
  assert.deepEqual(kinds(), ["toast success"]);
});

test("an earlier answer to the delivery is not that to its replay", async () => {
  const answer = { result: "success", req_headers: { "webhook-id": "d1" }, resp_status_code: "200" };
  rest.attempts = [{ ...answer, timestamp: now() - 60 }];
  await makeSender().replay("7");
  assert.deepEqual(texts(), ["The delivery was sent"]);
});

test("it was sent even if its answer cannot be read", async () => {
  const { request } = rest;
  rest.request = async (method, target, options) => {
    if (target === "attempts") throw new RestError(0, "the server is unreachable");
    return request(method, target, options);
  };
  await makeSender().replay("7");
  assert.deepEqual(texts(), ["The delivery was sent"]);
});

test("a failed attempt is noticed by its count, whatever the clocks", async () => {
  rest.looks = [waiting(), { pending: { attempts: 1, next_attempt: now() - 2, reason: "status 500" } }];
  await makeSender().replay("7");
  assert.match(texts()[0], /^The delivery failed: status 500; next attempt /);
  assert.deepEqual(kinds(), ["toast error"]);
  // A server whose clock is a little ahead: the delivery is due "later", but has not been attempted.
  page = installDocument();
  globalThis.setTimeout = (callback, delayMs) => delayMs === 1000 && queueMicrotask(callback);
  rest.looks = [{ pending: { attempts: 0, next_attempt: now() + 3 } }, {}];
  await makeSender().replay("7");
  assert.deepEqual(texts(), ["The delivery was sent"]);
});

test("a delivery that is dead has failed", async () => {
  rest.looks = [{ dead: { reason: "status 500" } }];
  await makeSender().retry("d1");
  assert.deepEqual(rest.sent, ["POST deliveries/d1/retry"]);
  assert.deepEqual(texts(), ["The delivery failed: status 500"]);
});

test("a refused replay says why", async () => {
  const reason = "the attempt cannot be replayed: its hook has been deleted";
  rest.error = new RestError(409, reason);
  await makeSender().replay("7");
  rest.error = new RestError(404, "bad identifier");
  await makeSender().replay("8");
  assert.deepEqual(texts(), [
    `The delivery was not sent: ${reason}`,
    "The delivery was not sent: the attempt is no longer stored",
  ]);
});

test("a disabled webhook is enabled first", async () => {
  const sender = makeSender(true);
  assert.equal(sender.label("Replay"), "Enable and send");
  await sender.replay("7");
  assert.deepEqual(rest.sent, ["enable", "POST attempts/7/replay"]);
  assert.deepEqual(texts(), ["The delivery was sent"]);
  assert.equal(sender.label("Replay"), "Replay");
});

test("a retry is followed even if another node does not know yet that the webhook is enabled", async () => {
  rest.error = new RestError(409, "webhook_disabled");
  const sender = makeSender(true);
  await sender.retry("d1");
  assert.deepEqual(texts(), ["The delivery was sent"]);
  page = installDocument();
  await sender.retry("d1");
  assert.deepEqual(texts(), ["The delivery was not sent: webhook_disabled"]);
});

test("a delivery that stays pending still waits, or waits until the webhook is enabled", async () => {
  rest.looks = [waiting()];
  const sender = makeSender();
  await sender.replay("7");
  assert.deepEqual(texts(), ["The delivery still waits for its attempt"]);
  page = installDocument();
  const send = rest.send;
  rest.send = (...given) => {
    sender.isDisabled = true;
    return send(...given);
  };
  await sender.replay("7");
  assert.deepEqual(texts(), ["The delivery waits until the webhook is enabled"]);
  assert.deepEqual(kinds(), ["toast info"]);
});
