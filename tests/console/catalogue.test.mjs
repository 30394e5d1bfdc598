import assert from "node:assert/strict";
import { test } from "node:test";

import { loadCatalogue, loadSamples, payloadKeys } from "../../kazoo_bridge/console/page/app/catalogue.js";

test("the catalogue is loaded once for a client", async () => {
  let requests = 0;
  const rest = { get: async () => [(requests += 1)] };
  assert.deepEqual([await loadCatalogue(rest), await loadCatalogue(rest)], [[1], [1]]);
  assert.deepEqual(await loadCatalogue({ get: async () => ["other"] }), ["other"]);
});

test("an event without samples has none; another error is one, and not kept", async () => {
  const failing = (status) => ({
    get: async () => {
      throw Object.assign(new Error("no"), { status });
    },
  });
  await assert.rejects(loadSamples(failing(503), "sms"));
  assert.deepEqual(await loadSamples({ get: async (path) => [path] }, "sms"), ["webhooks/samples/webhooks_sms"]);
  assert.deepEqual(await loadSamples(failing(503), "sms"), ["webhooks/samples/webhooks_sms"]);
  assert.deepEqual(await loadSamples(failing(404), "all"), []);
});

test("texts are suggested as keys before numbers and objects", () => {
  assert.deepEqual(payloadKeys([{ z: "1", n: 5, a: "2" }, { o: {}, a: 1, b: "" }]), ["a", "b", "z", "n", "o"]);
});
