/** Client of the REST API. */

import { syncClock } from "./clock.js";
import { t } from "./strings.js";

/**
 * Relative to the console's page, so that a proxy can serve both below any path. (Tests have no page. The path
 * of this module has a revision.)
 */
const API_ROOT = new URL("../v2/", globalThis.document?.baseURI ?? "http://localhost/console/");

const REQUEST_TIMEOUT_MS = 20000;

const VALIDATION_ERROR = "validation error";

/** The most items of a list that are read when its reader names no limit. */
const MAX_LIST_ITEMS = 10_000;

/**
 * A failed request. `status` is the HTTP status, or 0 without a response; `fields` maps the names of the
 * document's invalid fields to messages.
 */
export class RestError extends Error {
  constructor(status, message, fields = {}) {
    super(message);
    this.status = status;
    this.fields = fields;
  }
}

function errorMessage(envelope, status) {
  const { data, message } = envelope;
  // An error that is not about the fields of a document, but has its form: the code says less than the text.
  const texts = message === VALIDATION_ERROR ? [] : Object.values(ruleMessages(data));
  if (texts.length) return texts.join("; ");
  const detail = typeof data === "string" ? data : typeof data?.message === "string" ? data.message : "";
  return [message ?? `HTTP status ${status}`, detail].filter(Boolean).join(": ");
}

function fieldErrors(envelope) {
  return envelope.message === VALIDATION_ERROR ? ruleMessages(envelope.data) : {};
}

/** Return the messages of errors {field: {rule: {message}}} by field; none of data of another form. */
function ruleMessages(data) {
  const fields = {};
  if (data === null || typeof data !== "object") return fields;
  for (const [field, rules] of Object.entries(data)) {
    if (rules === null || typeof rules !== "object") continue;
    const messages = Object.values(rules).map((rule) => rule?.message ?? String(rule));
    fields[field] = messages.join("; ");
  }
  return fields;
}

export class RestClient {
  /** `onExpired` is called when the server rejects the token. */
  constructor(token, onExpired = () => {}) {
    this.token = token;
    this.onExpired = onExpired;
  }

  /** Send a request to a path below /v2/ and return the response's envelope. Throws `RestError`. */
  async request(method, path, { data, query = {}, headers = {} } = {}) {
    const url = new URL(path, API_ROOT);
    const { token } = this;
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
    const requestHeaders = { ...headers, ...(token ? { "X-Auth-Token": token } : {}) };
    if (data !== undefined) requestHeaders["Content-Type"] = "application/json";
    let response;
    let envelope;
    try {
      response = await fetch(url, {
        method,
        headers: requestHeaders,
        body: data === undefined ? undefined : JSON.stringify({ data }),
        cache: "no-store",
        credentials: "omit",
        signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
      });
      envelope = await response.json();
    } catch (error) {
      const message = t(error.name === "TimeoutError" ? "error.timeout" : "error.unreachable");
      throw new RestError(response?.status ?? 0, message);
    }
    syncClock(envelope.timestamp);
    if (response.ok) return envelope;
    // The token may have been renewed during the request.
    if (response.status === 401 && token && token === this.token) this.onExpired();
    throw new RestError(response.status, errorMessage(envelope, response.status), fieldErrors(envelope));
  }

  /**
   * GET a path and return the envelope's data; with `paginate: "false"` the first `limit` items of the list, of
   * as many pages as needed: the server bounds the size of a page also then.
   */
  async get(path, query = {}, limit = MAX_LIST_ITEMS) {
    let page = await this.request("GET", path, { query });
    if (query.paginate !== "false" || !Array.isArray(page.data)) return page.data;
    const items = [...page.data];
    while (page.next_start_key && items.length < limit) {
      page = await this.request("GET", path, { query: { ...query, start_key: page.next_start_key } });
      items.push(...page.data);
    }
    return items.slice(0, limit);
  }

  /** Send data to a path and return the data of the response's envelope. */
  async send(method, path, data = {}, headers = {}) {
    return (await this.request(method, path, { data, headers })).data;
  }
}

/** Build a path below an account. */
export function accountPath(accountId, ...segments) {
  return ["accounts", accountId, ...segments].map(encodeURIComponent).join("/");
}
