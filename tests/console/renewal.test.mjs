import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { now } from "../../kazoo_bridge/console/page/app/clock.js";
import { TokenRenewal } from "../../kazoo_bridge/console/page/app/renewal.js";

const HOUR_S = 3600;

let timers;
let sessions;
let renewed;
let signIns;

beforeEach(() => {
  timers = [];
  globalThis.setTimeout = (callback, delayMs) => timers.push({ callback, delayMs });
  globalThis.clearTimeout = (id) => id && (timers[id - 1].callback = () => {});
  sessions = [];
  renewed = [];
  signIns = 0;
});

/** Start a renewal whose attempts give `sessions`, or throw the errors among them. */
function start(expires = now() + HOUR_S) {
  const signIn = async () => {
    signIns += 1;
    const result = sessions.shift();
    if (result instanceof Error) throw result;
    return result;
  };
  return new TokenRenewal(signIn, expires, (session) => renewed.push(session));
}

const failure = (status, message) => Object.assign(new Error(message), { status });
const isNear = (delayMs, expectedS) => Math.abs(delayMs / 1000 - expectedS) < 5;

test("a token is renewed before it expires, again and again", async () => {
  const renewal = start();
  assert.ok(isNear(timers[0].delayMs, 0.75 * HOUR_S));
  const fresh = { token: "second", expires: now() + 2 * HOUR_S };
  sessions.push(fresh);
  await timers[0].callback();
  assert.deepEqual(renewed, [fresh]);
  assert.ok(isNear(timers[1].delayMs, 1.5 * HOUR_S));
  assert.equal(renewal.error, "");
});

test("a renewal that fails is repeated", async () => {
  const renewal = start();
  sessions.push(failure(0, "the server is unreachable"), { token: "second", expires: now() + HOUR_S });
  assert.equal(await renewal.renew(), false);
  assert.equal(renewal.error, "the server is unreachable");
  assert.equal(timers.at(-1).delayMs, 30000);
  await timers.at(-1).callback();
  assert.equal(renewed.length, 1);
});

test("a revoked API key ends the renewing", async () => {
  const renewal = start();
  sessions.push(failure(401, "invalid_credentials"));
  assert.equal(await renewal.renew(), false);
  assert.equal(renewal.error, "the API key is no longer valid");
  assert.equal(timers.length, 1);
});

test("renewals that are asked for at once are one", async () => {
  const renewal = start();
  sessions.push({ token: "second", expires: now() + HOUR_S });
  assert.deepEqual(await Promise.all([renewal.renew(), renewal.renew()]), [true, true]);
  assert.equal(signIns, 1);
});

test("a token that does not expire is not renewed, and one that has expired is at once", () => {
  start(null);
  assert.equal(timers.length, 0);
  start(now() - HOUR_S);
  assert.equal(timers[0].delayMs, 0);
});

test("a stopped renewal renews no more", async () => {
  const renewal = start();
  sessions.push({ token: "second", expires: now() + HOUR_S });
  const running = renewal.renew();
  renewal.stop();
  assert.equal(await running, false);
  assert.deepEqual(renewed, []);
  assert.equal(timers.length, 1);
});
