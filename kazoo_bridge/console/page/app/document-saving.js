/** Saves documents, such as webhooks, and detects that another client has changed one meanwhile. */

import { conflictText, documentChanges } from "./webhook-document.js";

/**
 * Send what `next` changes of the document `base.document`, which is at `path`, and nothing else. Resolves to the
 * changed document.
 *
 * When it was changed meanwhile, throws an error that says so, and takes over the new `base.revision`: the next
 * attempt makes the same changes to it.
 */
export async function saveChanges(rest, path, base, next) {
  const { document, revision } = base;
  const changes = documentChanges(document, next);
  if (!Object.keys(changes).length) return document;
  try {
    return await rest.send("PATCH", path, changes, { "If-Match": `"${revision}"` });
  } catch (error) {
    if (error.status !== 412 && error.status !== 409) throw error;
    const current = await rest.request("GET", path);
    if (current.revision === revision) throw error;
    base.revision = current.revision;
    throw new Error(conflictText(document, changes, current.data));
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
