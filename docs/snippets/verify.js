// Verify a signed webhook. `headers` has its names in lower case, as Node gives them; `body` is a Buffer of the raw request.
const crypto = require("node:crypto");

const TOLERANCE = 5 * 60; // seconds

function verify(secret, headers, body) {
  const id = headers["webhook-id"] ?? "";
  const timestamp = headers["webhook-timestamp"] ?? "";
  if (!/^\d+$/.test(timestamp) || Math.abs(Date.now() / 1000 - Number(timestamp)) > TOLERANCE) return false;
  const key = Buffer.from(secret.replace(/^whsec_/, ""), "base64");
  const signed = Buffer.concat([Buffer.from(`${id}.${timestamp}.`), body]);
  const expected = crypto.createHmac("sha256", key).update(signed).digest();
  const given = (headers["webhook-signature"] ?? "").split(" ").filter((one) => one.startsWith("v1,"));
  return given.some((one) => {
    const signature = Buffer.from(one.slice(3), "base64");
    return signature.length === expected.length && crypto.timingSafeEqual(expected, signature);
  });
}

module.exports = { verify };
