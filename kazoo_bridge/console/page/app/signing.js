/** The kinds of signatures of webhooks: words for them, and the requests that choose one. */

import { t } from "./strings.js";

/** The names of the kinds, the server's default first. */
export const SIGNATURES = { hmac: t("signing.hmac"), ed25519: t("signing.ed25519") };

/** What each kind means for the receiver. */
export const SIGNATURE_HINTS = {
  hmac: t("signing.hmacHint"),
  ed25519: t("signing.ed25519Hint"),
};

/** How long a replaced secret stays valid: seconds and words. The first is the default. */
export const OVERLAPS = [
  [86400, t("signing.day")],
  [3600, t("signing.hour")],
  [604800, t("signing.week")],
  [0, t("signing.now")],
];

/** Describe how the requests of a webhook are signed. */
export function signatureText({ signed, signature }) {
  return signed ? (SIGNATURES[signature] ?? signature ?? t("signing.yes")) : t("signing.no");
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
      title: t("signing.publicKeyTitle"),
      label: t("hook.publicKey"),
      value: publicKey,
      hint: t("signing.publicKeyHint"),
    };
  }
  if (!secret) return null;
  return {
    title: t("signing.secretTitle"),
    label: t("signing.secret"),
    value: secret,
    hint: t("signing.secretHint"),
  };
}
