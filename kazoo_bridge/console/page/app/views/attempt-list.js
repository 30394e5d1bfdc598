/** Attempts: each with the request and the answer side by side. */

import { moment } from "../clock.js";
import { h } from "../dom.js";
import { PagedList } from "./paged-list.js";

export class AttemptList extends PagedList {
  constructor(rest, path) {
    super(
      (query) => rest.ask("GET", path, { query }),
      attemptRow,
      "No attempts are kept: failures always are, successes only where the configuration says so.",
    );
  }
}

function attemptRow(attempt) {
  const good = attempt.result === "success";
  const details = h(
    "details",
    {},
    h(
      "summary",
      {},
      h("time", {}, moment(attempt.timestamp)),
      h("span", { class: `badge ${good ? "answered" : "ended bad"}` }, good ? "Success" : "Failure"),
      h("span", {}, outcome(attempt)),
      attempt.test && h("span", { class: "badge" }, "Test"),
    ),
  );
  details.addEventListener(
    "toggle",
    () => details.children.length > 1 || details.append(attemptSheet(attempt)),
  );
  return details;
}

const outcome = (attempt) =>
  attempt.resp_status_code
    ? `${attempt.resp_status_code} from ${attempt.method?.toUpperCase()} ${attempt.uri}`
    : (attempt.client_error ?? attempt.reason ?? "");

/** One attempt: request and answer. */
export function attemptSheet(attempt) {
  const answer = attempt.resp_status_code
    ? [
        h("p", {}, h("code", {}, `HTTP ${attempt.resp_status_code}`)),
        headers(attempt.resp_headers),
        body(attempt.resp_body, "Body of the answer"),
      ]
    : [h("p", {}, attempt.client_error ?? attempt.reason ?? "There was no answer.")];
  return h(
    "div",
    { class: "side-by-side" },
    h(
      "section",
      {},
      h("h3", {}, "Request"),
      h("p", {}, h("code", {}, `${attempt.method?.toUpperCase()} ${attempt.url ?? attempt.uri}`)),
      headers(attempt.req_headers),
      body(attempt.req_body, "Body of the request"),
    ),
    h("section", {}, h("h3", {}, "Answer"), answer),
  );
}

function headers(all) {
  const entries = Object.entries(all ?? {});
  if (!entries.length) return null;
  return h(
    "dl",
    { class: "headers" },
    entries.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, [value].flat().join(", "))]),
  );
}

function body(text, label) {
  if (!text) return h("p", { class: "hint" }, "without a body");
  return h("pre", { tabindex: "0", "aria-label": label }, readable(text));
}

/** JSON with line breaks, and forms with one field a line; anything else as it is. */
function readable(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    if (!/^[^\s=&]+=[^\s]*$/.test(text)) return text;
    return [...new URLSearchParams(text)].map(([name, value]) => `${name} = ${value}`).join("\n");
  }
}
