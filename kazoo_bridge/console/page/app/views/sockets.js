/** The account's websockets on all nodes. */

import { confirmDialog } from "../dialogs.js";
import { KeyedList, button, h, setAttribute, setText, toResults } from "../dom.js";
import { EventRates } from "../event-rates.js";
import { icon } from "../icons.js";
import { relativeTime } from "../relative-time.js";
import { accountPath } from "../rest.js";
import { t } from "../strings.js";
import { notify, withErrorToast } from "../toasts.js";
import { EmptyState } from "./empty-state.js";

/** Each poll is a request to all nodes, so the interval is longer than for webhooks. */
const POLL_INTERVAL_S = 10;

const COLUMNS = ["name", "address", "connected", "node", "rate", "subscriptions", "actions"];

export class SocketsView {
  constructor(app) {
    this.rest = app.rest;
    this.socket = app.socket;
    this.path = (...segments) => accountPath(app.account.id, "websockets", ...segments);
    /** Null before the first response. */
    this.sockets = null;
    this.rates = new EventRates();
    this.body = h("tbody", {});
    this.rows = new KeyedList(this.body, (socket) => this.row(socket));
    const head = COLUMNS.map((key) => h("th", { scope: "col" }, t(`sockets.${key}`)));
    this.table = h(
      "table",
      { "aria-label": t("view.sockets"), hidden: true },
      h("thead", {}, h("tr", {}, head)),
      this.body,
    );
    this.empty = new EmptyState("cable");
    this.empty.show(t("common.loading"));
    this.search = h("input", {
      type: "search",
      placeholder: t("sockets.searchHint"),
      "aria-label": t("sockets.search"),
      oninput: () => this.draw(),
      onkeydown: (event) => toResults(event, () => this.body.querySelector("button")),
    });
    this.element = h(
      "div",
      {},
      h("h1", {}, t("view.sockets")),
      h(
        "div",
        { class: "toolbar", role: "search" },
        h("span", { class: "search-field" }, icon("search"), this.search),
        button([icon("refresh-cw"), t("sockets.refresh")], () => this.load()),
      ),
      h("div", { class: "table-wrapper" }, this.table, this.empty.element),
    );
    this.seconds = 0;
    this.load();
  }

  dispose() {
    this.disposed = true;
  }

  onReconnect() {
    this.load();
  }

  tick() {
    this.seconds += 1;
    if (this.seconds % POLL_INTERVAL_S === 0 && document.visibilityState === "visible") this.load();
  }

  focusResults() {
    this.search.focus({ preventScroll: true });
  }

  async load() {
    try {
      this.sockets = await this.rest.get(this.path());
      this.rates.update(this.sockets, performance.now() / 1000);
      if (!this.disposed) this.draw();
    } catch (error) {
      this.empty.show(t("sockets.cannotList", { reason: error.message }), "", { iconName: "circle-alert" });
    }
  }

  /** This page's own socket first, then the oldest. */
  draw() {
    const all = this.sockets ?? [];
    const words = this.search.value.toLowerCase().split(/\s+/);
    const shown = all.filter((socket) => {
      const text = `${socket.name ?? ""} ${socket.websocket_session_id} ${(socket.bindings ?? []).join(" ")}`;
      return words.every((word) => text.toLowerCase().includes(word));
    });
    shown.sort((left, right) => this.isOwn(right) - this.isOwn(left) || left.timestamp - right.timestamp);
    this.rows.show(shown, (socket) => socket.websocket_session_id);
    this.table.hidden = !shown.length;
    if (shown.length || this.sockets === null) this.empty.show(shown.length ? "" : t("common.loading"));
    else if (all.length) this.empty.show(t("sockets.noMatch"), "", { iconName: "search" });
    else this.empty.show(t("sockets.none"), t("sockets.noneDetail", { url: this.socket.url }));
  }

  rateText({ websocket_session_id: id }) {
    const rate = this.rates.of(id);
    return rate === null ? "–" : t("sockets.perSecond", { rate: Math.round(rate * 10) / 10 });
  }

  isOwn({ websocket_session_id: id }) {
    return id === this.socket.socketId;
  }

  row(socket) {
    const id = socket.websocket_session_id;
    const name = socket.name ?? t("sockets.unnamed");
    const own = h("span", { class: "badge self" }, t("sockets.own"));
    const bindings = h("span", { class: "bindings" });
    const rate = h("span", {});
    const close = button([icon("x"), t("sockets.close")], () => this.close(socket, name), {
      class: "danger",
      "aria-label": t("sockets.closeOne", { name, id }),
    });
    const cells = [
      [h("b", {}, name), " ", own],
      [h("code", {}, id)],
      [relativeTime(socket.timestamp)],
      [socket.destination],
      [rate],
      [bindings],
      [close],
    ];
    const row = h(
      "tr",
      {},
      cells.map((content, index) => {
        const isActions = COLUMNS[index] === "actions";
        return h("td", { "data-label": t(`sockets.${COLUMNS[index]}`), class: isActions ? "actions" : null }, content);
      }),
    );
    row.update = (current) => {
      setText(bindings, (current.bindings ?? []).join(", ") || t("sockets.nothing"));
      setText(rate, this.rateText(current));
      const { events } = current;
      setAttribute(rate, "title", Number.isInteger(events) ? t("sockets.events", { count: events }) : null);
      own.hidden = !this.isOwn(current);
      setAttribute(row, "data-own", this.isOwn(current));
    };
    return row;
  }

  async close(socket, name) {
    const id = socket.websocket_session_id;
    const detail = [t("sockets.closeDetail", { name, id }), this.isOwn(socket) && t("sockets.closeOwnDetail")];
    const question = t("sockets.closeQuestion");
    if (!(await confirmDialog(question, t("sockets.closeIt"), detail.filter(Boolean).join(" ")))) return;
    await withErrorToast(t("sockets.notClosed"), async () => {
      await this.rest.send("DELETE", this.path(id));
      notify(t("sockets.closed"));
      await this.load();
    });
  }
}
