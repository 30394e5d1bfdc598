import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import * as page from "../../kazoo_bridge/documentation/api/app/document.js";

const api = JSON.parse(readFileSync(process.env.OPENAPI, "utf8"));
const tags = page.operationsByTag(api);
const entries = tags.flatMap((tag) => tag.operations);

const find = (id) => entries.find((entry) => entry.id === id);

test("every operation of the document is in one tag", () => {
  const described = Object.values(api.paths).flatMap((item) => Object.values(item).map((one) => one.operationId));
  assert.deepEqual(entries.map((entry) => entry.id).sort(), described.sort());
  assert.ok(tags.every((tag) => tag.description));
});

test("references are followed, and unknown ones are empty", () => {
  assert.equal(page.resolved(api, { $ref: "#/components/parameters/account_id" }).in, "path");
  assert.deepEqual(page.resolved(api, { $ref: "#/components/schemas/None" }), {});
  assert.deepEqual(page.resolved(api, { $ref: "https://example.com/schema" }), {});
  const circle = { components: { schemas: { A: { $ref: "#/components/schemas/A" } } } };
  assert.deepEqual(page.exampleOf(circle, { $ref: "#/components/schemas/A" }), null);
});

test("every request is a command of the shell, with a body of JSON that has all required keys", () => {
  for (const entry of entries) {
    const command = page.curl(api, entry, "https://bridge.example.com");
    const script = `curl() { printf '%s\\0' "$@"; }; ACCOUNT=a TOKEN=t; ${command}`;
    const words = execFileSync("sh", ["-c", script], { encoding: "utf8" }).split("\0").slice(0, -1);
    assert.ok(words.at(-1).startsWith("https://bridge.example.com/"), entry.id);
    assert.equal(words.includes("X-Auth-Token: t"), page.access(entry.operation) !== "No token is needed.", entry.id);
    const body = page.content(api, entry.operation.requestBody);
    if (body?.type !== "application/json") continue;
    const sent = JSON.parse(words[words.indexOf("-d") + 1]);
    const required = page.properties(api, body.schema).filter(([, , needed]) => needed);
    for (const [name] of required) assert.ok(name in sent, `${entry.id} ${name}`);
  }
});

test("the request that creates a hook can be pasted", () => {
  const command = page.curl(api, find("createHook"), "http://127.0.0.1:8000");
  assert.ok(command.startsWith('curl -X PUT -H "X-Auth-Token: $TOKEN"'));
  assert.ok(command.endsWith('"http://127.0.0.1:8000/v2/accounts/$ACCOUNT/webhooks"'));
  const data = JSON.parse(/-d '(.*)'/.exec(command)[1]).data;
  assert.deepEqual(Object.keys(data).sort(), ["hook", "name", "uri"]);
  assert.equal(data.hook, "channel_create");
});

test("a quote in an example does not end the argument", () => {
  const operation = { requestBody: { content: { "application/json": { schema: { const: "it's" } } } } };
  assert.match(page.curl({}, { method: "post", path: "/", operation }, ""), /-d '"it'\\''s"'/);
});

test("types and bounds are short texts", () => {
  const keys = api.components.schemas.HookDocument.properties;
  assert.equal(page.typeName(api, keys.name), "string");
  assert.deepEqual(page.bounds(keys.http_verb), ['one of "get", "post", "put"', 'default "post"']);
  assert.deepEqual(page.bounds(keys.retries), ["at least 0", "at most 4", "default 2"]);
  assert.equal(page.typeName(api, { type: "array", items: { $ref: "#/components/schemas/Hook" } }), "array of Hook");
  assert.equal(page.typeName(api, { anyOf: [{ type: "string" }, { type: "null" }] }), "string or null");
});

test("a filter needs all its words", () => {
  const found = (text) => entries.filter((entry) => page.matches(entry, text)).map((entry) => entry.id);
  assert.ok(found("create HOOK").includes("createHook"));
  assert.deepEqual(found("no such operation"), []);
  assert.equal(found("").length, entries.length);
});

test("who may call an operation", () => {
  assert.equal(page.access(find("isAlive").operation), "No token is needed.");
  assert.equal(page.access(find("createHook").operation), "A token is needed.");
});
