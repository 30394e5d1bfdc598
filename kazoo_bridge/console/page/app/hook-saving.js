/** Saves webhooks, and detects that another user has changed one meanwhile. */

import { conflictText, documentChanges } from "./webhook-document.js";

/**
 * Send what `document` changes of the webhook `base.hook`, and nothing else. `webhooks.path` builds its path.
 * Resolves to the changed webhook.
 *
 * When it was changed meanwhile, throws an error that says so, and takes over the new `base.revision`: the next
 * attempt makes the same changes to it.
 */
export async function changeHook(rest, webhooks, base, document) {
  const { hook, revision } = base;
  const changes = documentChanges(hook, document);
  if (!Object.keys(changes).length) return hook;
  const path = webhooks.path(hook.id);
  try {
    return await rest.send("PATCH", path, changes, { "If-Match": `"${revision}"` });
  } catch (error) {
    if (error.status !== 412 && error.status !== 409) throw error;
    const current = await rest.request("GET", path);
    if (current.revision === revision) throw error;
    base.revision = current.revision;
    throw new Error(conflictText(hook, changes, current.data));
  }
}

/** What belongs to one webhook, not to a copy of it. */
const OWN = ["id", "health", "signed", "signature", "public_key", "disable_reason", "revision"];

/** Return the document of a copy of a webhook with another name: without headers, whose values are not known. */
export function copyOf(hook, name) {
  const copy = Object.fromEntries(
    Object.entries(hook).filter(([key]) => !OWN.includes(key) && key !== "headers" && !/^(pvt_|_)/.test(key)),
  );
  return { ...copy, name, enabled: true };
}
