/**
 * Code that verifies the signature of a request, by kind of signature and language. The same as the snippets of the
 * documentation, which are tested; a test compares them.
 */

export const VERIFICATION_CODE = {
  hmac: {
    Python: `"""Verify a signed webhook: only the standard library is needed."""

import base64
import hashlib
import hmac
import time

TOLERANCE = 5 * 60  # seconds


def verify(secret: str, headers: dict[str, str], body: bytes) -> bool:
    """Return whether \`body\` was signed with \`secret\`. Names of headers are in lower case."""
    webhook_id = headers.get("webhook-id", "")
    timestamp = headers.get("webhook-timestamp", "")
    if not timestamp.isdigit() or abs(time.time() - int(timestamp)) > TOLERANCE:
        return False
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{webhook_id}.{timestamp}.".encode() + body
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    given = [
        one.removeprefix("v1,")
        for one in headers.get("webhook-signature", "").split()
        if one.startswith("v1,")
    ]
    return any(hmac.compare_digest(expected.encode(), one.encode()) for one in given)
`,
    JavaScript: `// Verify a signed webhook. \`headers\` has its names in lower case, as Node gives them; \`body\` is a Buffer of the raw request.
const crypto = require("node:crypto");

const TOLERANCE = 5 * 60; // seconds

function verify(secret, headers, body) {
  const id = headers["webhook-id"] ?? "";
  const timestamp = headers["webhook-timestamp"] ?? "";
  if (!/^\\d+$/.test(timestamp) || Math.abs(Date.now() / 1000 - Number(timestamp)) > TOLERANCE) return false;
  const key = Buffer.from(secret.replace(/^whsec_/, ""), "base64");
  const signed = Buffer.concat([Buffer.from(\`\${id}.\${timestamp}.\`), body]);
  const expected = crypto.createHmac("sha256", key).update(signed).digest();
  const given = (headers["webhook-signature"] ?? "").split(" ").filter((one) => one.startsWith("v1,"));
  return given.some((one) => {
    const signature = Buffer.from(one.slice(3), "base64");
    return signature.length === expected.length && crypto.timingSafeEqual(expected, signature);
  });
}

module.exports = { verify };
`,
  },
  ed25519: {
    Python: `"""Verify a webhook that is signed with a key pair, with its public key. Needs \`pip install cryptography\`."""

import base64
import time

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

TOLERANCE = 5 * 60  # seconds


def verify(public_key: str, headers: dict[str, str], body: bytes) -> bool:
    """Return whether \`body\` was signed with the key of \`public_key\`. Names of headers are in lower case."""
    webhook_id = headers.get("webhook-id", "")
    timestamp = headers.get("webhook-timestamp", "")
    if not timestamp.isdigit() or abs(time.time() - int(timestamp)) > TOLERANCE:
        return False
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key.removeprefix("whpk_")))
    signed = f"{webhook_id}.{timestamp}.".encode() + body
    for one in headers.get("webhook-signature", "").split():
        if one.startswith("v1a,"):
            try:
                key.verify(base64.b64decode(one.removeprefix("v1a,")), signed)
            except (InvalidSignature, ValueError):
                continue
            return True
    return False
`,
    JavaScript: `// Verify a webhook that is signed with a key pair. \`headers\` has its names in lower case; \`body\` is a Buffer.
const crypto = require("node:crypto");

const TOLERANCE = 5 * 60; // seconds

function verify(publicKey, headers, body) {
  const id = headers["webhook-id"] ?? "";
  const timestamp = headers["webhook-timestamp"] ?? "";
  if (!/^\\d+$/.test(timestamp) || Math.abs(Date.now() / 1000 - Number(timestamp)) > TOLERANCE) return false;
  const x = Buffer.from(publicKey.replace(/^whpk_/, ""), "base64").toString("base64url");
  const key = crypto.createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" });
  const signed = Buffer.concat([Buffer.from(\`\${id}.\${timestamp}.\`), body]);
  const given = (headers["webhook-signature"] ?? "").split(" ").filter((one) => one.startsWith("v1a,"));
  return given.some((one) => crypto.verify(null, signed, key, Buffer.from(one.slice(4), "base64")));
}

module.exports = { verify };
`,
  },
};
