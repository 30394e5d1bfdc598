/** The account's pivot points: created, changed, renewed, deleted, and what KAZOO has asked them lately. */

import { describeFlow } from "../ask-flows.js";
import { makeParty, partyName } from "../calls.js";
import { confirmDialog, openDialog } from "../dialogs.js";
import { KeyedList, button, h, setAttribute, setText } from "../dom.js";
import { icon } from "../icons.js";
import { relativeTime } from "../relative-time.js";
import { accountPath } from "../rest.js";
import { t } from "../strings.js";
import { notify, withErrorToast } from "../toasts.js";
import { copyField } from "./copy-field.js";
import { openPivotForm } from "./pivot-form.js";

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
      h("div", { class: "buttons start" }, button([icon("plus"), t("pivot.new")], () => this.create())),
      h("div", { class: "table-wrapper" }, this.table, this.note),
    );
  }

  async load() {
    try {
      const points = await this.rest.get(this.path(), { paginate: "false" });
      this.list.show(points, ({ id }) => id);
      this.table.hidden = !points.length;
      setText(this.note, points.length ? "" : t("pivot.none"));
    } catch (error) {
      setText(this.note, t("common.cannotList", { reason: error.message }));
    }
  }

  row({ id }) {
    const cells = COLUMNS.map((key) => h("td", { "data-label": t(`pivot.${key}`) }));
    const actions = [
      ["common.edit", () => this.edit(row.point)],
      ["pivot.url", () => this.showUrl(id)],
      ["pivot.requests", () => this.showRequests(row.point)],
      ["pivot.renew", () => this.renew(row.point)],
      ["common.delete", () => this.remove(row.point)],
    ];
    const buttons = actions.map(([key, run]) => button(t(key), run, { class: key === "common.delete" ? "danger" : null }));
    const row = h("tr", {}, cells, h("td", { class: "actions" }, buttons));
    row.update = (point) => {
      row.point = point;
      const { name, strategy, timeout_ms: timeout, enabled } = point;
      const texts = [name, t(`pivot.strategy.${strategy}`), t("pivot.ms", { ms: timeout }), t(enabled ? "pivot.on" : "pivot.off")];
      texts.forEach((text, index) => setText(cells[index], text));
      actions.forEach(([key], index) => setAttribute(buttons[index], "aria-label", t("pivot.ofPoint", { action: t(key), name })));
    };
    return row;
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

  // -- new and changed pivot points

  async create() {
    const point = await openPivotForm(this.rest, this.path);
    if (point === null) return;
    openUrls(point);
    await this.load();
  }

  async edit({ id }) {
    await withErrorToast(t("pivot.notEdited"), async () => {
      const { data: document, revision } = await this.rest.request("GET", this.path(id));
      const point = await openPivotForm(this.rest, this.path, { document, revision });
      if (point === null) return;
      notify(t("pivot.saved", { name: point.name }));
      await this.load();
    });
  }
}

/** Show the URLs of a pivot point, for KAZOO's callflow. */
function openUrls({ name, url, cdr_url: cdrUrl }) {
  const field = copyField(t("pivot.voiceUrl"), url);
  openDialog(t("pivot.urlOf", { name }), [h("p", {}, t("pivot.urlHint")), field, copyField(t("pivot.cdrUrl"), cdrUrl)]);
  field.select();
}
