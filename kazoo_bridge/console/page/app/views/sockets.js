/** The account's websockets on all nodes. */

import { confirmDialog } from "../dialogs.js";
import { KeyedList, button, h, setText } from "../dom.js";
import { relativeTime } from "../relative-time.js";
import { accountPath } from "../rest.js";
import { notify, withErrorToast } from "../toasts.js";

/** Each poll is a request to all nodes, so the interval is longer than for webhooks. */
const POLL_INTERVAL_S = 10;

const COLUMNS = ["Name", "Address", "Connected", "Node", "Subscriptions", "Actions"];

export class SocketsView {
  constructor(app) {
    this.rest = app.rest;
    this.path = (...segments) => accountPath(app.account.id, "websockets", ...segments);
    const body = h("tbody", {});
    this.rows = new KeyedList(body, (socket) => this.row(socket));
    const head = COLUMNS.map((title) => h("th", { scope: "col" }, title));
    this.table = h(
      "table",
      { "aria-label": "Sockets", hidden: true },
      h("thead", {}, h("tr", {}, head)),
      body,
    );
    this.note = h("p", { class: "empty", role: "status" }, "Loading…");
    this.element = h(
      "div",
      {},
      h("h1", {}, "Sockets"),
      h(
        "div",
        { class: "toolbar" },
        button("Refresh", () => this.load()),
      ),
      h("div", { class: "table-wrapper" }, this.table, this.note),
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

  async load() {
    try {
      const sockets = await this.rest.get(this.path());
      if (this.disposed) return;
      sockets.sort((left, right) => left.timestamp - right.timestamp);
      this.rows.show(sockets, (socket) => socket.websocket_session_id);
      this.table.hidden = !sockets.length;
      setText(this.note, sockets.length ? "" : "No sockets are connected.");
    } catch (error) {
      setText(this.note, `Cannot list the sockets: ${error.message}.`);
    }
  }

  row(socket) {
    const id = socket.websocket_session_id;
    const name = socket.name ?? "unnamed";
    const bindings = h("span", {});
    const close = button("Close", () => this.close(id, name), {
      class: "danger",
      "aria-label": `Close ${name} from ${id}`,
    });
    const cells = [
      name,
      h("code", {}, id),
      relativeTime(socket.timestamp),
      socket.destination,
      bindings,
      close,
    ];
    const row = h(
      "tr",
      {},
      cells.map((content, index) => h("td", { "data-label": COLUMNS[index] }, content)),
    );
    row.update = (current) => setText(bindings, (current.bindings ?? []).join(", ") || "none");
    return row;
  }

  async close(id, name) {
    const detail = `${name} from ${id}. Its client can reconnect.`;
    if (!(await confirmDialog("Close this socket?", "Close socket", detail))) return;
    await withErrorToast("Closing the socket failed", async () => {
      await this.rest.send("DELETE", this.path(id));
      notify("Socket closed");
      await this.load();
    });
  }
}
