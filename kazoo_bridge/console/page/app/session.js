/**
 * The sign-in session: the token, when it expires (in Gregorian seconds, or null), the account that it
 * belongs to (`principal`), the account on display, and whether it began with an API key (`hadApiKey`).
 *
 * The session storage limits it to this browser tab: it survives a reload and ends with the tab.
 */

import { RestClient, RestError, accountPath } from "./rest.js";

const STORAGE_KEY = "kazoo-bridge-console";

/** Return the stored session, or null when there is none or it is malformed. */
export function load() {
  try {
    const session = JSON.parse(sessionStorage.getItem(STORAGE_KEY));
    return typeof session?.token === "string" && session.principal?.id && session.account?.id
      ? session
      : null;
  } catch {
    return null;
  }
}

/** Store a session. */
export function save(session) {
  sessionStorage.setItem(STORAGE_KEY, JSON.stringify(session));
}

/** Remove the stored session, and what else this tab has stored, like its list of recent calls. */
export function clear() {
  const keys = Array.from({ length: sessionStorage.length }, (_, index) => sessionStorage.key(index));
  for (const key of keys) if (key.startsWith(STORAGE_KEY)) sessionStorage.removeItem(key);
}

/** Sign in with a token and return a session. Throws `RestError`. */
export async function signInWithToken(token) {
  // fetch() rejects header values with other characters, and no valid token has any.
  if (!/^[\x21-\x7e]+$/.test(token)) throw new RestError(401, "not a token");
  const rest = new RestClient(token);
  const { account_id: id, expires = null } = await rest.get("token_auth");
  const { name } = await rest.get(accountPath(id));
  const account = { id, name: name || id };
  return { token, expires, principal: account, account, hadApiKey: false };
}

/** Exchange an API key, which is not stored, for a token and return a session. Throws `RestError`. */
export async function signInWithApiKey(apiKey) {
  const envelope = await new RestClient(null).request("PUT", "api_auth", { data: { api_key: apiKey } });
  return { ...(await signInWithToken(envelope.auth_token)), hadApiKey: true };
}
