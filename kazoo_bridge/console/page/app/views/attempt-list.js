/** Delivery attempts, each with its request and response side by side, and their replay. */

import { h, setText, singleClickButton } from "../dom.js";
import { relativeTime } from "../relative-time.js";
import { PagedList } from "./paged-list.js";

const EMPTY_TEXT =
  "No attempts recorded. Failures are always recorded, successes only if the configuration says so.";

export class AttemptList {
  /** `path(...segments)` builds a path below the webhook; `sender` replays the attempts. */
  constructor(rest, path, sender) {
    this.sender = sender;
    const fetchPage = (query) => rest.request("GET", path("attempts"), { query });
    this.list = new PagedList(fetchPage, (attempt) => this.row(attempt), EMPTY_TEXT);
    this.element = this.list.element;
  }

  load() {
    return this.list.load();
  }

  /** Show what the state of the webhook means for a replay: a disabled one sends nothing. */
  showHook() {
    for (const control of this.element.querySelectorAll("button[data-retry]")) {
      setText(control, this.sender.label("Replay"));
    }
  }

  row(attempt) {
    const success = attempt.result === "success";
    const details = h(
      "details",
      {},
      h(
        "summary",
        {},
        relativeTime(attempt.timestamp),
        h("span", { class: `badge ${success ? "success" : "error"}` }, success ? "Success" : "Failure"),
        h("span", {}, resultText(attempt)),
        attempt.test && h("span", { class: "badge" }, "Test"),
      ),
    );
    details.addEventListener("toggle", () => {
      const isEmpty = details.children.length === 1;
      if (isEmpty) details.append(attemptDetails(attempt));
    });
    // A test is no delivery: "Send a test" sends another one.
    const replay =
      !attempt.test &&
      singleClickButton(this.sender.label("Replay"), () => this.replay(attempt), { "data-retry": true });
    return h("div", { class: "record" }, details, replay);
  }

  async replay({ id }) {
    await this.sender.replay(id);
    await this.load();
  }
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
