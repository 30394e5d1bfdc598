/** The server's catalogue of webhook events, and their sample payloads; both are loaded once. */

const catalogues = new WeakMap();
const samples = new Map();

/** Return the catalogue for a REST client: [{id, name, description, modifiers}]. Throws `RestError`. */
export async function loadCatalogue(rest) {
  if (!catalogues.has(rest)) catalogues.set(rest, await rest.get("webhooks"));
  return catalogues.get(rest);
}

/** Return the sample payloads of an event; none if there are none. Throws `RestError`. */
export async function loadSamples(rest, event) {
  if (!samples.has(event)) samples.set(event, await fetchSamples(rest, event));
  return samples.get(event);
}

async function fetchSamples(rest, event) {
  try {
    return await rest.get(`webhooks/samples/webhooks_${encodeURIComponent(event)}`);
  } catch (error) {
    if (error.status === 404) return [];
    throw error;
  }
}

/** Return the keys of payloads that a filter can test, most useful first: texts, then others, each by name. */
export function payloadKeys(payloads) {
  const kinds = new Map();
  for (const payload of payloads) {
    for (const [key, value] of Object.entries(payload)) {
      if (!kinds.has(key)) kinds.set(key, typeof value === "string" ? 0 : 1);
    }
  }
  return [...kinds.keys()].sort((left, right) => kinds.get(left) - kinds.get(right) || left.localeCompare(right));
}
