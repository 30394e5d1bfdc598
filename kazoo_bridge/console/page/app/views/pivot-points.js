/** The account's pivot points: created, renewed, deleted, and what KAZOO has asked them lately. */

import { describeFlow } from "../ask-flows.js";
import { makeParty, partyName } from "../calls.js";
import { confirmDialog, openDialog } from "../dialogs.js";
import { KeyedList, button, h, setText } from "../dom.js";
import { icon } from "../icons.js";
import { relativeTime } from "../relative-time.js";
import { accountPath } from "../rest.js";
import { t } from "../strings.js";
import { notify, withErrorToast } from "../toasts.js";
import { copyField } from "./copy-field.js";
import { FormFields } from "./form-fields.js";

const COLUMNS = ["name", "strategy", "timeout", "enabled"];
const MAX_REQUESTS = 50;

export class PivotPoints {
  constructor(app) {
    this.rest = app.rest;
    this.people = app.operator.people;
    this.path = (...segments) => accountPath(app.account.id, "pivots", ...segments);
    this.note = h("p", { class: "empty", role: "status" }, t("common.loading"));
    const body = h("tbody", {});
    this.list = new KeyedList(body, (point) => this.row(point));
    const heads = COLUMNS.map((key) => h("th", { scope: "col" }, t(`pivot.${key}`)));
    this.table = h(
      "table",
      { "aria-label": t("pivot.title"), hidden: true },
      h("thead", {}, h("tr", {}, heads, h("th", { scope: "col" }, h("span", { class: "visually-hidden" }, t("sockets.actions"))))),
      body,
    );
    this.element = h(
      "section",
      { class: "wide" },
      h("h2", {}, t("pivot.title")),
      h("p", { class: "hint" }, t("pivot.hint")),
      h("div", { class: "buttons start" }, button([icon("plus"), t("pivot.new")], () => this.openForm())),
      h("div", { class: "table-wrapper" }, this.table, this.note),
    );
  }

  async load() {
    try {
      const points = await this.rest.get(this.path(), { paginate: "false" });
      this.list.show(points, (point) => JSON.stringify(point));
      this.table.hidden = !points.length;
      setText(this.note, points.length ? "" : t("pivot.none"));
    } catch (error) {
      setText(this.note, t("common.cannotList", { reason: error.message }));
    }
  }

  row(point) {
    const { id, name, strategy, timeout_ms: timeout, enabled } = point;
    const cells = [name, t(`pivot.strategy.${strategy}`), t("pivot.ms", { ms: timeout }), t(enabled ? "pivot.on" : "pivot.off")];
    const named = (key) => ({ "aria-label": t("pivot.ofPoint", { action: t(key), name }) });
    return h(
      "tr",
      {},
      cells.map((content, index) => h("td", { "data-label": t(`pivot.${COLUMNS[index]}`) }, content)),
      h(
        "td",
        { class: "actions" },
        button(t("pivot.url"), () => this.showUrl(id), named("pivot.url")),
        button(t("pivot.requests"), () => this.showRequests(point), named("pivot.requests")),
        button(t("pivot.renew"), () => this.renew(point), named("pivot.renew")),
        button(t("common.delete"), () => this.remove(point), { class: "danger", ...named("common.delete") }),
      ),
    );
  }

  // -- URLs

  showUrl(id) {
    return withErrorToast(t("pivot.noUrl"), async () => openUrls(await this.rest.get(this.path(id))));
  }

  async renew({ id, name }) {
    if (!(await confirmDialog(t("pivot.renewQuestion", { name }), t("pivot.renew"), t("pivot.renewDetail")))) return;
    await withErrorToast(t("pivot.notRenewed"), async () => openUrls(await this.rest.send("POST", this.path(id, "secret"))));
  }

  async remove({ id, name }) {
    if (!(await confirmDialog(t("pivot.deleteQuestion", { name }), t("common.delete"), t("pivot.deleteDetail")))) return;
    await withErrorToast(t("pivot.notDeleted"), async () => {
      await this.rest.send("DELETE", this.path(id));
      notify(t("pivot.deleted", { name }));
      await this.load();
    });
  }

  // -- the latest requests

  showRequests({ id, name }) {
    return withErrorToast(t("pivot.noRequests"), async () => {
      const requests = await this.rest.get(this.path(id, "requests"));
      const rows = requests.slice(0, MAX_REQUESTS).map((request) => this.requestRow(request));
      const content = rows.length ? h("ul", { class: "pivot-requests" }, rows) : h("p", {}, t("pivot.neverAsked"));
      openDialog(t("pivot.requestsOf", { name }), content, { wide: true });
    });
  }

  requestRow({ timestamp, result, duration_ms: duration, request, answered_by: by, flow }) {
    const caller = partyName(makeParty(request.caller_id_name, request.caller_id_number));
    const target = flow ? ` → ${describeFlow(flow, this.people.list())}` : "";
    const who = by?.name ? ` · ${by.name}` : "";
    return h(
      "li",
      {},
      h("span", {}, caller, target),
      h("small", {}, t(`pivot.result.${result}`), `${who} · ${t("pivot.ms", { ms: Math.round(duration) })} · `, relativeTime(timestamp)),
    );
  }

  // -- a new pivot point

  openForm() {
    const form = new PivotForm(async (document) => {
      const point = await this.rest.send("PUT", this.path(), document);
      dialog.close();
      openUrls(point);
      await this.load();
    });
    const dialog = openDialog(t("pivot.new"), form.element, { persistent: true, isChanged: () => form.isChanged });
    form.input("name").focus();
  }
}

/** Show the URLs of a pivot point, for KAZOO's callflow. */
function openUrls({ name, url, cdr_url: cdrUrl }) {
  const field = copyField(t("pivot.voiceUrl"), url);
  openDialog(t("pivot.urlOf", { name }), [h("p", {}, t("pivot.urlHint")), field, copyField(t("pivot.cdrUrl"), cdrUrl)]);
  field.select();
}

class PivotForm extends FormFields {
  constructor(create) {
    super();
    this.error = h("p", { class: "error-text", role: "alert" });
    const submit = h("button", { type: "submit", class: "primary" }, t("common.create"));
    const strategies = Object.fromEntries(["first", "rotate"].map((name) => [name, t(`pivot.strategy.${name}`)]));
    const fallback = h("textarea", { rows: "5", spellcheck: "false", placeholder: '{"module": "callflow", "data": {"id": "…"}}' });
    this.element = h(
      "form",
      {
        class: "hook-form",
        novalidate: true,
        onsubmit: (event) => {
          event.preventDefault();
          submit.disabled = true;
          this.save(create).finally(() => (submit.disabled = false));
        },
        oninput: ({ target }) => {
          this.isChanged = true;
          this.unmark(target);
        },
      },
      h(
        "div",
        { class: "fields" },
        this.text("name", t("pivot.name"), "", { maxlength: "64", placeholder: "front-desk" }, t("pivot.nameHint")),
        this.text("timeout_ms", t("pivot.timeoutMs"), "3000", { type: "number", min: "100", max: "10000" }),
        this.select("strategy", t("pivot.strategy"), strategies, "first"),
        this.field("fallback", t("pivot.fallback"), fallback, t("pivot.fallbackHint")),
      ),
      this.error,
      h("div", { class: "buttons" }, submit),
    );
  }

  async save(create) {
    setText(this.error, "");
    const text = this.value("fallback");
    let fallback;
    try {
      fallback = text ? JSON.parse(text) : undefined;
    } catch (error) {
      this.showErrors({ fallback: t("pivot.notJson", { reason: error.message }) });
      return;
    }
    const document = { name: this.value("name"), timeout_ms: Number(this.value("timeout_ms")), strategy: this.value("strategy") };
    try {
      await create(fallback === undefined ? document : { ...document, fallback });
    } catch (error) {
      const fields = error.fields ?? {};
      const others = this.showErrors(fields);
      setText(this.error, Object.keys(fields).length ? others.join(" ") : error.message);
    }
  }
}
