/** The kinds of signatures of webhooks: words for them, and the requests that choose one. */

/** The names of the kinds, the server's default first. */
export const SIGNATURES = { hmac: "Shared secret (HMAC)", ed25519: "Key pair (ed25519)" };

/** What each kind means for the receiver. */
export const SIGNATURE_HINTS = {
  hmac: "The receiver verifies requests with the same secret that signs them, so both must keep it safe.",
  ed25519:
    "The receiver verifies requests with a public key, which cannot sign any. The private key never leaves" +
    " the server.",
};

/** How long a replaced secret stays valid: seconds and words. The first is the default. */
export const OVERLAPS = [
  [86400, "for one more day"],
  [3600, "for one more hour"],
  [604800, "for one more week"],
  [0, "no longer: it ends now"],
];

/** Describe how the requests of a webhook are signed. */
export function signatureText({ signed, signature }) {
  return signed ? (SIGNATURES[signature] ?? signature ?? "yes") : "no";
}

/**
 * Return the data that ask for a new secret of a kind: `given`, or one that the server generates if it is
 * empty. `overlap` are seconds, see `OVERLAPS`; null if no secret is replaced.
 */
export function secretRequest(signature, given = "", overlap = null) {
  const data = { signature, secret: given.trim() || true };
  return overlap === null ? data : { ...data, overlap_seconds: Number(overlap) };
}

/**
 * Return the title, label, value and explanation of what the server reveals of a new secret: the public key
 * of a pair, else the secret. Null if the document has neither.
 */
export function revealedKey({ secret, public_key: publicKey }) {
  if (publicKey) {
    return {
      title: "Give the receiver this public key",
      label: "Public key",
      value: publicKey,
      hint:
        "Enter it at the receiver, which verifies the header webhook-signature of each request with it" +
        " (the signatures that begin with v1a). It is not secret, and stays visible on the webhook's page." +
        " The server keeps the private key.",
    };
  }
  if (!secret) return null;
  return {
    title: "Save this secret",
    label: "Secret",
    value: secret,
    hint:
      "Enter it at the receiver, which verifies the header webhook-signature of each request with it (the" +
      " signatures that begin with v1). Anyone who has it can sign requests. It is not shown again: if it" +
      " is lost, create a new one.",
  };
}
