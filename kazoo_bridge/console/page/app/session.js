/** Who has signed in. Kept for this tab alone, so that it can be loaded anew; gone with it. */

import { Refusal, Rest, accountPath } from "./rest.js";

const KEPT = "kazoo-bridge-console";

/** What was kept, or null: the token, the principal's account, and the account that is looked at. */
export function restored() {
  try {
    const kept = JSON.parse(sessionStorage.getItem(KEPT));
    return typeof kept?.token === "string" && kept.principal?.id && kept.account?.id ? kept : null;
  } catch {
    return null;
  }
}

/** Keep a session. */
export function keep(session) {
  sessionStorage.setItem(KEPT, JSON.stringify(session));
}

/** Sign out. */
export function forget() {
  sessionStorage.removeItem(KEPT);
}

/** Sign in with a token; a session. */
export async function withToken(token) {
  // A header can only carry so much, and no token has anything else in it.
  if (!/^[\x21-\x7e]+$/.test(token)) throw new Refusal(401, "this is no token");
  const rest = new Rest(token);
  const { account_id: id } = await rest.get("token_auth");
  const { name } = await rest.get(accountPath(id));
  const account = { id, name: name || id };
  return { token, principal: account, account };
}

/** Sign in with an API key, which is exchanged for a token and not kept; a session. */
export async function withApiKey(apiKey) {
  const { auth_token: token } = await new Rest(null).ask("PUT", "api_auth", { data: { api_key: apiKey } });
  return withToken(token);
}
