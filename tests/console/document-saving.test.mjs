import assert from "node:assert/strict";
import { test } from "node:test";

import { copyOf, saveChanges } from "../../kazoo_bridge/console/page/app/document-saving.js";

const HOOK = { id: "h1", name: "desk", uri: "https://a.example/", retries: 2 };
const PATH = "accounts/a/webhooks/h1";

test("only what was changed is sent, with the revision; without changes nothing is", async () => {
  const sent = [];
  const rest = {
    send: async (...request) => {
      sent.push(request);
      return "saved";
    },
  };
  const base = { document: HOOK, revision: "1-x" };
  assert.equal(await saveChanges(rest, PATH, base, { ...HOOK }), HOOK);
  assert.equal(await saveChanges(rest, PATH, base, { ...HOOK, name: "hall" }), "saved");
  assert.deepEqual(sent, [["PATCH", PATH, { name: "hall" }, { "If-Match": '"1-x"' }]]);
});

test("after a conflict the next attempt makes the same changes to the new revision", async () => {
  const conflict = Object.assign(new Error("conflict"), { status: 412 });
  const rest = {
    send: async () => {
      throw conflict;
    },
    request: async () => ({ data: { ...HOOK, name: "hall" }, revision: "2-y" }),
  };
  const base = { document: HOOK, revision: "1-x" };
  await assert.rejects(saveChanges(rest, PATH, base, { ...HOOK, name: "loft" }), /Both of you have changed name/);
  assert.equal(base.revision, "2-y");
  // The server refuses for another reason: nothing has changed.
  await assert.rejects(saveChanges(rest, PATH, base, { ...HOOK, name: "loft" }), conflict);
});

test("a copy has nothing that belongs to one webhook, nor headers, whose values are masked", () => {
  const original = {
    ...HOOK,
    enabled: false,
    disable_reason: "too many failed attempts",
    signed: true,
    signature: "hmac",
    health: {},
    headers: { "x-key": "********" },
    modifiers: { a: "b" },
  };
  assert.deepEqual(copyOf(original, "desk (copy)"), {
    name: "desk (copy)",
    uri: HOOK.uri,
    retries: 2,
    enabled: true,
    modifiers: { a: "b" },
  });
});
