/** Who is connected, on all nodes. */

import { moment } from "../clock.js";
import { confirmed } from "../dialogs.js";
import { KeyedList, button, h, setText } from "../dom.js";
import { accountPath } from "../rest.js";
import { say, trying } from "../saying.js";

/** Seconds between two looks; every look asks all nodes. */
const EVERY = 10;

export class SocketsView {
  constructor(console_) {
    this.rest = console_.rest;
    this.path = (...words) => accountPath(console_.account.id, "websockets", ...words);
    const body = h("tbody", {});
    this.rows = new KeyedList(body, (socket) => this.row(socket));
    this.table = h(
      "table",
      { class: "sockets", "aria-label": "Sockets", hidden: true },
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          ["Name", "From", "Connected", "Node", "Subscribed to", "Actions"].map((title) =>
            h("th", { scope: "col" }, title),
          ),
        ),
      ),
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
      h("div", { class: "table-box" }, this.table, this.note),
    );
    this.seconds = 0;
    this.load();
  }

  dispose() {
    this.gone = true;
  }

  reconnected() {
    this.load();
  }

  tick() {
    this.seconds += 1;
    if (this.seconds % EVERY === 0 && document.visibilityState === "visible") this.load();
  }

  async load() {
    try {
      const sockets = await this.rest.get(this.path());
      if (this.gone) return;
      sockets.sort((one, other) => one.timestamp - other.timestamp);
      this.rows.show(sockets, (socket) => socket.websocket_session_id);
      this.table.hidden = !sockets.length;
      setText(this.note, sockets.length ? "" : "Nobody is connected.");
    } catch (error) {
      setText(this.note, `The sockets cannot be listed: ${error.message}.`);
    }
  }

  row(socket) {
    const id = socket.websocket_session_id;
    const bindings = h("span", {});
    const cell = (label, ...content) => h("td", { "data-label": label }, content);
    const name = socket.name ?? "unnamed";
    const row = h(
      "tr",
      {},
      cell("Name", name),
      cell("From", h("code", {}, id)),
      cell("Connected", moment(socket.timestamp)),
      cell("Node", socket.destination),
      cell("Subscribed to", bindings),
      cell(
        "Actions",
        button("Close", () => this.close(id, name), {
          class: "danger",
          "aria-label": `Close ${name} from ${id}`,
        }),
      ),
    );
    row.update = (one) => setText(bindings, (one.bindings ?? []).join(", ") || "nothing");
    return row;
  }

  async close(id, name) {
    if (
      !(await confirmed(
        "Close this socket?",
        "Close it",
        `${name} from ${id}. Its client can connect again.`,
      ))
    )
      return;
    await trying("Closing", async () => {
      await this.rest.send("DELETE", this.path(id));
      say("The socket is closed");
      await this.load();
    });
  }
}
