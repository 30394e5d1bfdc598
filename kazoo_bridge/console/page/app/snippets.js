/** Requests as curl commands. */

import { MASK } from "./webhook-document.js";

/** Headers that curl sets by itself. */
const OWN_HEADERS = new Set(["content-length", "host", "connection", "accept-encoding"]);

/** Quote a text for a POSIX shell. */
export function shellQuote(text) {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/** Return the curl command that repeats the request of an attempt; masked values are left to be filled in. */
export function curlOf({ method = "post", uri, url = uri, req_headers: headers = {}, req_body: body = "" }) {
  const lines = [`curl -i -X ${method.toUpperCase()} ${shellQuote(url)}`];
  for (const [name, value] of Object.entries(headers)) {
    if (OWN_HEADERS.has(name.toLowerCase())) continue;
    const text = [value].flat().join(", ");
    lines.push(`-H ${shellQuote(`${name}: ${text === MASK ? "…" : text}`)}`);
  }
  if (body) lines.push(`--data-raw ${shellQuote(body)}`);
  return lines.join(" \\\n  ");
}

/** Return the curl command that makes a test request to a webhook's URL with a sample payload. */
export function sampleCurl({ uri, http_verb: verb = "post", format = "form-data" }, payload) {
  const isJson = format === "json";
  const type = isJson ? "application/json" : "application/x-www-form-urlencoded";
  const body = isJson ? JSON.stringify(payload) : new URLSearchParams(formFields(payload)).toString();
  if (verb === "get") return curlOf({ method: verb, uri: `${uri}${uri.includes("?") ? "&" : "?"}${new URLSearchParams(formFields(payload))}` });
  return curlOf({ method: verb, uri, req_headers: { "content-type": type }, req_body: body });
}

function formFields(payload) {
  return Object.entries(payload).map(([key, value]) => [key, typeof value === "object" ? JSON.stringify(value) : String(value)]);
}
