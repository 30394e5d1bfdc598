/** Delivery attempts with filters; each opens to its request and response, and can be replayed. */

import { attemptEvent, attemptQuery } from "../attempt-filters.js";
import { button, h, setText, singleClickButton, throttle } from "../dom.js";
import { icon } from "../icons.js";
import { relativeTime } from "../relative-time.js";
import { t } from "../strings.js";
import { attemptDetails } from "./attempt-details.js";
import { PagedList } from "./paged-list.js";

const RESULTS = [
  ["", "attempts.anyResult"],
  ["success", "attempts.successes"],
  ["failure", "attempts.failures"],
];

/** Between a change of a filter and the request for it. */
const FILTER_INTERVAL_MS = 300;

export class AttemptList {
  /**
   * `path(...segments)` builds a path below the webhook or the account; `sender` replays the attempts; `events`
   * are the names of events to filter by; `filters` those that cannot be changed here; `nameOf(id)` returns the
   * name of a webhook, for lists of several.
   */
  constructor(rest, path, sender, { events = [], filters = {}, nameOf = null } = {}) {
    Object.assign(this, { sender, filters, nameOf });
    const fetchPage = (query) => rest.request("GET", path("attempts"), { query: { ...query, ...this.query() } });
    this.list = new PagedList(fetchPage, (attempt) => this.row(attempt), () => this.emptyText(), "history");
    this.tools = h("div", { class: "buttons" });
    this.element = h("div", {}, this.toolbar(events), this.list.element);
  }

  load() {
    return this.list.load();
  }

  /** Show what the state of the webhook means for a replay: a disabled one sends nothing. */
  showHook() {
    for (const control of this.element.querySelectorAll("button[data-retry]")) {
      setText(control, this.sender.label(t("attempts.replay")));
    }
  }

  /** Offer these events as filters. */
  setEvents(events) {
    const options = [["", t("attempts.anyEvent")], ...events.map((event) => [event, event])];
    this.event.replaceChildren(...options.map(([value, label]) => h("option", { value }, label)));
    this.event.hidden = !events.length;
  }

  // -- filters

  toolbar(events) {
    const onchange = throttle(() => this.load(), FILTER_INTERVAL_MS);
    const time = (label) =>
      h("label", { class: "check" }, label, h("input", { type: "datetime-local", onchange }));
    this.result = h(
      "select",
      { "aria-label": t("attempts.anyResult"), onchange },
      RESULTS.map(([value, key]) => h("option", { value }, t(key))),
    );
    this.event = h("select", { "aria-label": t("attempts.anyEvent"), onchange });
    this.setEvents(events);
    this.from = time(t("attempts.from"));
    this.to = time(t("attempts.to"));
    this.clear = button(t("attempts.clear"), () => this.clearFilters(), { class: "quiet" });
    return h("div", { class: "toolbar" }, this.result, this.event, this.from, this.to, this.clear, this.tools);
  }

  clearFilters() {
    for (const input of [this.result, this.event]) input.value = "";
    for (const label of [this.from, this.to]) label.querySelector("input").value = "";
    return this.load();
  }

  query() {
    const valueOf = (label) => label.querySelector("input").value;
    const chosen = { result: this.result.value, event: this.event.value };
    return attemptQuery({ ...chosen, from: valueOf(this.from), to: valueOf(this.to), ...this.filters });
  }

  emptyText() {
    const isFiltered = Object.keys(this.query()).length > 0;
    return isFiltered ? [t("attempts.empty")] : [t("attempts.none"), t("attempts.noneDetail")];
  }

  // -- rows

  row(attempt) {
    const details = h("details", {}, h("summary", {}, this.summary(attempt)));
    details.addEventListener("toggle", () => {
      const isEmpty = details.children.length === 1;
      if (isEmpty) details.append(attemptDetails(attempt));
    });
    // A test is no delivery: "Send a test" sends another one.
    const replay =
      !attempt.test &&
      singleClickButton(this.sender.label(t("attempts.replay")), () => this.replay(attempt), { "data-retry": true });
    return h("div", { class: "record" }, details, replay);
  }

  summary(attempt) {
    const isSuccess = attempt.result === "success";
    const status = attempt.resp_status_code ?? t("attempts.noResponse");
    const { attempt: number, max_attempts: max, duration_ms: ms } = attempt;
    return [
      h(
        "span",
        { class: `badge ${isSuccess ? "success" : "error"}` },
        icon(isSuccess ? "check" : "x"),
        h("span", { class: "visually-hidden" }, t(isSuccess ? "attempts.success" : "attempts.failure")),
        h("span", { class: "number" }, status),
      ),
      h("b", {}, attemptEvent(attempt)),
      this.nameOf && h("span", {}, this.nameOf(attempt.hook_id)),
      attempt.test && h("span", { class: "badge" }, t("attempts.test")),
      !attempt.resp_status_code && h("small", { class: "error-text" }, attempt.client_error ?? attempt.reason),
      h(
        "span",
        { class: "record-facts" },
        number && h("small", {}, t("attempts.number", { number, max })),
        ms !== undefined && h("small", { class: "number duration" }, t("attempts.duration", { ms })),
        relativeTime(attempt.timestamp),
      ),
    ];
  }

  async replay(attempt) {
    await this.sender.replay(attempt.id);
    await this.load();
  }
}
