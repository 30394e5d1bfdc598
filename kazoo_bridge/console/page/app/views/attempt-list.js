/** Delivery attempts, each with its request and response side by side. */

import { formatDateTime } from "../clock.js";
import { h } from "../dom.js";
import { PagedList } from "./paged-list.js";

const EMPTY_TEXT =
  "No attempts recorded. Failures are always recorded, successes only if the configuration says so.";

export class AttemptList extends PagedList {
  constructor(rest, path) {
    super((query) => rest.request("GET", path, { query }), attemptRow, EMPTY_TEXT);
  }
}

function attemptRow(attempt) {
  const success = attempt.result === "success";
  const details = h(
    "details",
    {},
    h(
      "summary",
      {},
      h("time", {}, formatDateTime(attempt.timestamp)),
      h("span", { class: `badge ${success ? "success" : "error"}` }, success ? "Success" : "Failure"),
      h("span", {}, resultText(attempt)),
      attempt.test && h("span", { class: "badge" }, "Test"),
    ),
  );
  details.addEventListener("toggle", () => {
    const isEmpty = details.children.length === 1;
    if (isEmpty) details.append(attemptDetails(attempt));
  });
  return details;
}

function resultText({ resp_status_code: status, method, uri, client_error: clientError, reason }) {
  return status ? `${status} from ${method?.toUpperCase()} ${uri}` : (clientError ?? reason ?? "");
}

/** Create an element with the request and the response of an attempt. */
export function attemptDetails(attempt) {
  const requestLine = `${attempt.method?.toUpperCase()} ${attempt.url ?? attempt.uri}`;
  const response = attempt.resp_status_code
    ? [
        h("p", {}, h("code", {}, `HTTP ${attempt.resp_status_code}`)),
        headerList(attempt.resp_headers),
        body(attempt.resp_body, "Response body"),
      ]
    : [h("p", {}, attempt.client_error ?? attempt.reason ?? "No response.")];
  return h(
    "div",
    { class: "side-by-side" },
    h(
      "section",
      {},
      h("h3", {}, "Request"),
      h("p", {}, h("code", {}, requestLine)),
      headerList(attempt.req_headers),
      body(attempt.req_body, "Request body"),
    ),
    h("section", {}, h("h3", {}, "Response"), response),
  );
}

function headerList(headers) {
  const entries = Object.entries(headers ?? {});
  if (!entries.length) return null;
  return h(
    "dl",
    { class: "http-headers" },
    entries.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, [value].flat().join(", "))]),
  );
}

function body(text, label) {
  if (!text) return h("p", { class: "hint" }, "No body");
  return h("pre", { tabindex: "0", "aria-label": label }, formatBody(text));
}

/** Indent JSON, put each field of a form on its own line, and leave other text as it is. */
function formatBody(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    if (!/^[^\s=&]+=[^\s]*$/.test(text)) return text;
    return [...new URLSearchParams(text)].map(([name, value]) => `${name} = ${value}`).join("\n");
  }
}
