// Verify a webhook that is signed with a key pair. `headers` has its names in lower case; `body` is a Buffer.
const crypto = require("node:crypto");

const TOLERANCE = 5 * 60; // seconds

function verify(publicKey, headers, body) {
  const id = headers["webhook-id"] ?? "";
  const timestamp = headers["webhook-timestamp"] ?? "";
  if (!/^\d+$/.test(timestamp) || Math.abs(Date.now() / 1000 - Number(timestamp)) > TOLERANCE) return false;
  const x = Buffer.from(publicKey.replace(/^whpk_/, ""), "base64").toString("base64url");
  const key = crypto.createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" });
  const signed = Buffer.concat([Buffer.from(`${id}.${timestamp}.`), body]);
  const given = (headers["webhook-signature"] ?? "").split(" ").filter((one) => one.startsWith("v1a,"));
  return given.some((one) => crypto.verify(null, signed, key, Buffer.from(one.slice(4), "base64")));
}

module.exports = { verify };
