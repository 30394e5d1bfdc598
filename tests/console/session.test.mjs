import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import {
  clear,
  load,
  save,
  signInWithApiKey,
  signInWithToken,
} from "../../kazoo_bridge/console/page/app/session.js";

const ACCOUNT = { id: "a", name: "Acme" };
const SESSION = { token: "secret", expires: null, principal: ACCOUNT, account: ACCOUNT, hadApiKey: false };

beforeEach(() => {
  const items = new Map();
  globalThis.sessionStorage = {
    getItem: (key) => items.get(key) ?? null,
    setItem: (key, value) => items.set(key, value),
    removeItem: (key) => items.delete(key),
    key: (index) => [...items.keys()][index],
    get length() {
      return items.size;
    },
    items,
  };
});

/** Answer requests by the end of their path; returns the requests. */
function fakeApi(envelopes) {
  const requests = [];
  globalThis.fetch = async (url, { body, headers }) => {
    const [, path] = String(url).split("/v2/");
    requests.push({ path, body, token: headers["X-Auth-Token"] });
    return { status: 200, ok: true, json: async () => envelopes[path] };
  };
  return requests;
}

test("a saved session can be loaded until it is cleared", () => {
  assert.equal(load(), null);
  save(SESSION);
  assert.deepEqual(load(), SESSION);
  sessionStorage.setItem("kazoo-bridge-console.history", "[]");
  sessionStorage.setItem("kazoo-bridge-console.states", "[]");
  sessionStorage.setItem("another page", "stays");
  clear();
  assert.equal(load(), null);
  assert.deepEqual([...sessionStorage.items.keys()], ["another page"]);
});

test("a malformed session counts as none", () => {
  save(SESSION);
  const [key] = sessionStorage.items.keys();
  const malformed = ["{", "null", JSON.stringify({ ...SESSION, token: 1 }), JSON.stringify({ token: "t" })];
  for (const text of malformed) {
    sessionStorage.setItem(key, text);
    assert.equal(load(), null, text);
  }
});

test("signing in with a token looks up its account", async () => {
  fakeApi({ token_auth: { data: { account_id: "a" } }, "accounts/a": { data: { name: "Acme" } } });
  assert.deepEqual(await signInWithToken("secret"), SESSION);
});

test("an account without a name is shown by its id", async () => {
  fakeApi({ token_auth: { data: { account_id: "a" } }, "accounts/a": { data: {} } });
  assert.equal((await signInWithToken("secret")).account.name, "a");
});

test("text that no header can carry is rejected without a request", async () => {
  const requests = fakeApi({});
  for (const token of ["", "two words", "café"]) {
    await assert.rejects(signInWithToken(token), { status: 401 }, token);
  }
  assert.equal(requests.length, 0);
});

test("an API key is exchanged for a token", async () => {
  const requests = fakeApi({
    api_auth: { data: {}, auth_token: "secret" },
    token_auth: { data: { account_id: "a", expires: 63961578000 } },
    "accounts/a": { data: { name: "Acme" } },
  });
  const session = await signInWithApiKey("key");
  assert.deepEqual(session, { ...SESSION, expires: 63961578000, hadApiKey: true });
  // The key itself must not get into the storage.
  assert.doesNotMatch(JSON.stringify(session), /"key"/);
  assert.deepEqual(requests[0], { path: "api_auth", body: '{"data":{"api_key":"key"}}', token: undefined });
  assert.equal(requests[1].token, "secret");
});
