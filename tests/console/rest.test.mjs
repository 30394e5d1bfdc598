import assert from "node:assert/strict";
import { test } from "node:test";

import { RestClient, accountPath } from "../../kazoo_bridge/console/page/app/rest.js";

/** Answer every request with this status and envelope; returns the requests. */
function fakeFetch(status, envelope) {
  const requests = [];
  globalThis.fetch = async (url, options) => {
    requests.push({ url: String(url), ...options });
    return { status, ok: status < 300, json: async () => envelope };
  };
  return requests;
}

test("a request carries the token, the query and the data", async () => {
  const requests = fakeFetch(200, { data: { id: "h" }, timestamp: new Date().toISOString() });
  const data = await new RestClient("secret").send("PUT", accountPath("a/b", "webhooks"), { name: "n" });
  assert.deepEqual(data, { id: "h" });
  await new RestClient("secret").get("webhooks", { page_size: "1" });
  const [put, get] = requests;
  assert.match(put.url, /\/v2\/accounts\/a%2Fb\/webhooks$/);
  assert.equal(put.method, "PUT");
  assert.equal(put.body, '{"data":{"name":"n"}}');
  assert.deepEqual(put.headers, { "X-Auth-Token": "secret", "Content-Type": "application/json" });
  assert.match(get.url, /\/v2\/webhooks\?page_size=1$/);
  assert.equal(get.body, undefined);
});

test("a list without pages is read to its end", async () => {
  const pages = { "": { data: [1, 2], next_start_key: "k" }, k: { data: [3], start_key: "k" } };
  const requests = [];
  globalThis.fetch = async (url) => {
    requests.push(String(url));
    return { status: 200, ok: true, json: async () => pages[new URL(url).searchParams.get("start_key") ?? ""] };
  };
  assert.deepEqual(await new RestClient("t").get("x", { paginate: "false" }), [1, 2, 3]);
  assert.equal(requests.length, 2);
  assert.deepEqual(await new RestClient("t").get("x"), [1, 2]);
  assert.equal(requests.length, 3);
});

test("a validation error has a message for each field", async () => {
  const rules = { required: { message: "missing" }, type: { message: "expected a text" } };
  fakeFetch(400, { message: "validation error", data: { name: rules } });
  await assert.rejects(new RestClient("t").get("x"), (error) => {
    assert.equal(error.status, 400);
    assert.deepEqual(error.fields, { name: "missing; expected a text" });
    return true;
  });
});

test("other errors have the server's message and detail, and no fields", async () => {
  fakeFetch(404, { message: "bad identifier", data: "no such webhook" });
  await assert.rejects(new RestClient("t").get("x"), {
    message: "bad identifier: no such webhook",
    fields: {},
  });
  const rules = { not_kept: { message: "the attempt cannot be replayed: too old", cause: "7" } };
  fakeFetch(409, { message: "not_replayable", data: { attempt_id: rules } });
  await assert.rejects(new RestClient("t").get("x"), {
    message: "the attempt cannot be replayed: too old",
    fields: {},
  });
  fakeFetch(503, { message: "datastore", data: { message: "try again" } });
  await assert.rejects(new RestClient("t").get("x"), { message: "datastore: try again" });
  fakeFetch(500, {});
  await assert.rejects(new RestClient("t").get("x"), { message: "HTTP status 500" });
});

test("a rejected token is reported, a failed sign-in is not", async () => {
  fakeFetch(401, { message: "invalid_credentials" });
  let expired = 0;
  const onExpired = () => (expired += 1);
  await assert.rejects(new RestClient(null, onExpired).get("x"), { status: 401 });
  assert.equal(expired, 0);
  await assert.rejects(new RestClient("t", onExpired).get("x"), { status: 401 });
  assert.equal(expired, 1);
});

test("a token that was renewed during the request is not reported as rejected", async () => {
  let expired = 0;
  const client = new RestClient("old", () => (expired += 1));
  globalThis.fetch = async () => {
    client.token = "new";
    return { status: 401, ok: false, json: async () => ({ message: "invalid_credentials" }) };
  };
  await assert.rejects(client.get("x"), { status: 401 });
  assert.equal(expired, 0);
});

test("an unreachable server and a timeout are errors with status 0", async () => {
  const cases = { TypeError: "the server is unreachable", TimeoutError: "the request timed out" };
  for (const [name, message] of Object.entries(cases)) {
    globalThis.fetch = async () => {
      throw Object.assign(new Error(), { name });
    };
    await assert.rejects(new RestClient("t").get("x"), { status: 0, message });
  }
});

test("a list is read no further than to its limit", async () => {
  const requests = [];
  globalThis.fetch = async (url) => {
    requests.push(String(url));
    return { status: 200, ok: true, json: async () => ({ data: [1, 2], next_start_key: "k" }) };
  };
  assert.deepEqual(await new RestClient("t").get("x", { paginate: "false" }, 4), [1, 2, 1, 2]);
  assert.equal(requests.length, 2);
});
