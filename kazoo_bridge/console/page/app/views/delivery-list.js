/** Deliveries that wait for a later attempt, or were given up, and making them again. */

import { moment, toGregorian } from "../clock.js";
import { confirmed } from "../dialogs.js";
import { button, h } from "../dom.js";
import { say, trying } from "../saying.js";
import { PagedList } from "./paged-list.js";

export class DeliveryList {
  /** `path(...words)` is below the hook; `status` "pending" or "dead". */
  constructor(rest, path, status) {
    Object.assign(this, { rest, path, status });
    const empty = status === "dead" ? "No delivery was given up." : "No delivery waits.";
    this.list = new PagedList(
      (query) => rest.ask("GET", path("deliveries"), { query: { ...query, status } }),
      (delivery) => this.row(delivery),
      empty,
    );
    this.element = h("div", {}, status === "dead" ? this.recovery() : null, this.list.element);
  }

  load() {
    return this.list.load();
  }

  recovery() {
    this.since = h("input", { type: "datetime-local", required: true });
    this.since.value = localInput(new Date(Date.now() - 24 * 3600 * 1000));
    const recover = async (event) => {
      event.preventDefault();
      const since = toGregorian(new Date(this.since.value));
      if (
        !(await confirmed(
          "Replay all that was given up?",
          "Replay",
          `The receiver gets it again, from ${moment(since)} until now.`,
        ))
      )
        return;
      await trying("Replaying", async () => {
        const { recovered } = await this.rest.send("POST", this.path("deliveries", "recover"), { since });
        say(`${recovered} ${recovered === 1 ? "delivery is" : "deliveries are"} made again`);
        await this.load();
      });
    };
    return h(
      "form",
      { class: "toolbar", onsubmit: recover },
      h("label", {}, "Given up since ", this.since),
      h("button", { type: "submit" }, "Replay all"),
    );
  }

  row(delivery) {
    const words = `${delivery.attempts} ${delivery.attempts === 1 ? "attempt" : "attempts"}, ${delivery.reason || "not tried yet"}`;
    const next = delivery.next_attempt ? `next attempt ${moment(delivery.next_attempt)}` : "";
    return h(
      "div",
      { class: "record" },
      h(
        "details",
        {},
        h(
          "summary",
          {},
          h("time", {}, moment(delivery.created)),
          h("code", {}, delivery.hook_event),
          h("span", {}, [words, next].filter(Boolean).join(" · ")),
        ),
        h("pre", { tabindex: "0", "aria-label": "Payload" }, JSON.stringify(delivery.payload, null, 2)),
      ),
      button(this.status === "dead" ? "Replay" : "Try now", () => this.retry(delivery)),
    );
  }

  retry(delivery) {
    return trying("Replaying", async () => {
      await this.rest.send("POST", this.path("deliveries", delivery.id, "retry"));
      say("The delivery is made again");
      await this.load();
    });
  }
}

/** As an input of this kind has it: local time, without a zone. */
function localInput(date) {
  return new Date(date.getTime() - date.getTimezoneOffset() * 60000).toISOString().slice(0, 16);
}
