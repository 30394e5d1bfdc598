import assert from "node:assert/strict";
import { test } from "node:test";

import {
  OVERLAPS,
  SIGNATURES,
  SIGNATURE_HINTS,
  revealedKey,
  secretRequest,
  signatureText,
} from "../../kazoo_bridge/console/page/app/signing.js";

test("every kind has a name and an explanation", () => {
  assert.deepEqual(Object.keys(SIGNATURES), ["hmac", "ed25519"]);
  assert.deepEqual(Object.keys(SIGNATURE_HINTS), Object.keys(SIGNATURES));
});

test("a webhook says how its requests are signed", () => {
  assert.equal(signatureText({}), "no");
  assert.equal(signatureText({ signed: true, signature: "hmac" }), "Shared secret (HMAC)");
  assert.equal(signatureText({ signed: true, signature: "ed25519" }), "Key pair (ed25519)");
  assert.equal(signatureText({ signed: true, signature: "newer" }), "newer");
  assert.equal(signatureText({ signed: true }), "yes");
});

test("a secret is generated unless one is given", () => {
  assert.deepEqual(secretRequest("ed25519"), { signature: "ed25519", secret: true });
  assert.deepEqual(secretRequest("hmac", " whsec_x ", "0"), {
    signature: "hmac",
    secret: "whsec_x",
    overlap_seconds: 0,
  });
  assert.equal(secretRequest("hmac", "", String(OVERLAPS[0][0])).overlap_seconds, 86400);
});

test("of a pair the public key is revealed, else the secret", () => {
  assert.equal(revealedKey({ signed: true }), null);
  const shared = revealedKey({ signed: true, signature: "hmac", secret: "whsec_x" });
  assert.deepEqual([shared.label, shared.value], ["Secret", "whsec_x"]);
  assert.match(shared.hint, /not shown again/);
  const pair = revealedKey({ signed: true, signature: "ed25519", public_key: "whpk_x" });
  assert.deepEqual([pair.label, pair.value], ["Public key", "whpk_x"]);
  assert.match(pair.hint, /It is not secret/);
});
