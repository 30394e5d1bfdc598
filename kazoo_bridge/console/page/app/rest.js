/** The REST interface, with the token of whoever has signed in. */

import { learnTime } from "./clock.js";

const ROOT = new URL("../../v2/", new URL(".", import.meta.url));

const TIMEOUT = 20000;

/** A request that the server refused, or could not be asked (status 0). `fields`: what is wrong with each field of a document. */
export class Refusal extends Error {
  constructor(status, message, fields = {}) {
    super(message);
    this.status = status;
    this.fields = fields;
  }
}

function words(envelope, status) {
  const data = envelope.data;
  const detail = typeof data === "string" ? data : typeof data?.message === "string" ? data.message : "";
  return [envelope.message ?? `the server answered ${status}`, detail].filter(Boolean).join(": ");
}

function fieldsOf(envelope) {
  const fields = {};
  if (envelope.message !== "validation error") return fields;
  for (const [field, rules] of Object.entries(envelope.data ?? {})) {
    fields[field] = Object.values(rules)
      .map((rule) => rule.message ?? String(rule))
      .join("; ");
  }
  return fields;
}

export class Rest {
  /** `onExpired` is called when the token is good no longer. */
  constructor(token, onExpired = () => {}) {
    this.token = token;
    this.onExpired = onExpired;
  }

  /** One request; its envelope. Paths are below /v2/. Raises `Refusal`. */
  async ask(verb, path, { data, query = {}, headers = {} } = {}) {
    const url = new URL(path, ROOT);
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
    const sent = { ...headers, ...(this.token ? { "X-Auth-Token": this.token } : {}) };
    if (data !== undefined) sent["Content-Type"] = "application/json";
    let response;
    let envelope;
    try {
      response = await fetch(url, {
        method: verb,
        headers: sent,
        body: data === undefined ? undefined : JSON.stringify({ data }),
        cache: "no-store",
        credentials: "omit",
        signal: AbortSignal.timeout(TIMEOUT),
      });
      envelope = await response.json();
    } catch (error) {
      throw new Refusal(
        response?.status ?? 0,
        error.name === "TimeoutError" ? "the server took too long" : "the server cannot be reached",
      );
    }
    learnTime(envelope.timestamp);
    if (response.ok) return envelope;
    if (response.status === 401 && this.token) this.onExpired();
    throw new Refusal(response.status, words(envelope, response.status), fieldsOf(envelope));
  }

  /** The data of a GET. */
  async get(path, query = {}) {
    return (await this.ask("GET", path, { query })).data;
  }

  /** The data that a writing request is answered with. */
  async send(verb, path, data = {}, headers = {}) {
    return (await this.ask(verb, path, { data, headers })).data;
  }
}

/** Paths below an account. */
export function accountPath(accountId, ...words) {
  return ["accounts", accountId, ...words].map(encodeURIComponent).join("/");
}
