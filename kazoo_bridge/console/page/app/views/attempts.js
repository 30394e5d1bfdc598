/** The attempts of all webhooks of the account, or those about one call. */

import { loadCatalogue } from "../catalogue.js";
import { DeliverySender } from "../delivery-sender.js";
import { h } from "../dom.js";
import { icon } from "../icons.js";
import { t } from "../strings.js";
import { AttemptList } from "./attempt-list.js";

export class AttemptsView {
  /** `callId`: of this call only; undefined for all. */
  constructor(app, callId) {
    const { rest, webhooks } = app;
    const nameOf = (id) => webhooks.hooks?.find((hook) => hook.id === id)?.name ?? id;
    const filters = callId ? { call: callId } : {};
    this.list = new AttemptList(rest, webhooks.path, new DeliverySender(rest, webhooks.path, null), { nameOf, filters });
    this.element = h(
      "div",
      {},
      h("p", {}, h("a", { href: "#/webhooks", class: "back" }, icon("arrow-left"), t("view.webhooks"))),
      h("h1", {}, t("attempts.title")),
      callId
        ? h("p", { class: "notice info" }, h("span", {}, t("attempts.callOnly", { id: callId })), " ", h("a", { href: "#/attempts" }, t("attempts.allCalls")))
        : h("p", { class: "hint" }, t("attempts.hint")),
      this.list.element,
    );
    this.loaded = Promise.all([this.list.load(), this.loadEvents(rest)]);
  }

  async loadEvents(rest) {
    try {
      this.list.setEvents((await loadCatalogue(rest)).map(({ id }) => id));
    } catch {
      // Without the catalogue there is no filter by event.
    }
  }

  onReconnect() {
    this.list.load();
  }

  dispose() {}
}
