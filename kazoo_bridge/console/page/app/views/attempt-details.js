/** The request and the response of an attempt, side by side, with links to what belongs to it. */

import { bodyFields } from "../attempt-filters.js";
import { copyText } from "../clipboard.js";
import { button, h } from "../dom.js";
import { icon } from "../icons.js";
import { curlOf } from "../snippets.js";
import { t } from "../strings.js";
import { notify, notifyError } from "../toasts.js";

/** Create the element of an attempt's details. */
export function attemptDetails(attempt) {
  const requestLine = `${attempt.method?.toUpperCase()} ${attempt.url ?? attempt.uri}`;
  const response = attempt.resp_status_code
    ? [
        h("p", {}, h("code", {}, `HTTP ${attempt.resp_status_code}`)),
        headerList(attempt.resp_headers),
        body(attempt.resp_body, t("attempts.responseBody")),
      ]
    : [h("p", {}, attempt.client_error ?? attempt.reason ?? t("attempts.noAnswer"))];
  return h(
    "div",
    {},
    links(attempt),
    h(
      "div",
      { class: "side-by-side" },
      h(
        "section",
        {},
        h("h2", {}, t("attempts.request")),
        h("p", {}, h("code", {}, requestLine)),
        headerList(attempt.req_headers),
        body(attempt.req_body, t("attempts.requestBody")),
        h("p", { class: "hint" }, t("attempts.signatureNote")),
      ),
      h("section", {}, h("h2", {}, t("attempts.response")), response),
    ),
  );
}

function links(attempt) {
  const callId = attempt.call_id ?? bodyFields(attempt.req_body ?? "").call_id;
  // The page behind a dialog, such as that of a test, shows what the link leads to.
  const onclick = ({ target }) => target.closest("dialog")?.close();
  const link = (route, label, name) =>
    h("a", { href: `#/${route}/${encodeURIComponent(callId)}`, onclick }, icon(name), label);
  const copy = button([icon("copy"), t("attempts.copyCurl")], async () => {
    const text = curlOf(attempt);
    if (await copyText(text, () => getSelection().selectAllChildren(copy))) notify(t("common.copied", { what: "curl" }));
    else notifyError(t("common.noCopying"));
  });
  return h(
    "p",
    { class: "links" },
    h("small", {}, `${t("attempts.id")} `, h("code", {}, attempt.event_id)),
    callId && link("events", t("attempts.callEvents"), "activity"),
    callId && link("calls", t("events.openCall"), "phone"),
    callId && link("attempts", t("attempts.callAttempts"), "history"),
    copy,
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
  if (!text) return h("p", { class: "hint" }, t("attempts.noBody"));
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
