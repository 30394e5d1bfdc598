/** The calls that have ended in this session: to call back, with notes. */

import { DIRECTION_SIGNS } from "../calls.js";
import { formatDuration } from "../clock.js";
import { KeyedList, button, h, setAttribute, setText, throttle } from "../dom.js";
import { formatNumber } from "../numbers.js";
import { relativeTime } from "../relative-time.js";
import { t } from "../strings.js";
import { openNumberNote } from "./note-dialog.js";

const REDRAW_INTERVAL_MS = 400;

export class RecentPanel {
  constructor(operator) {
    Object.assign(this, { operator, history: operator.history });
    this.onlyMissed = h("input", { type: "checkbox", onchange: () => this.draw() });
    this.list = h("ul", { class: "recent", "aria-label": t("panel.recent") });
    this.rows = new KeyedList(this.list, (call) => this.row(call));
    this.empty = h("p", { class: "empty", role: "status" });
    this.element = h(
      "div",
      {},
      h("h2", {}, t("panel.recent")),
      h(
        "div",
        { class: "toolbar" },
        h("label", { class: "checkbox" }, this.onlyMissed, t("recent.onlyMissed")),
        button(t("recent.clear"), () => this.history.clear()),
      ),
      this.list,
      this.empty,
    );
    this.redraw = throttle(() => this.draw(), REDRAW_INTERVAL_MS);
    this.history.addEventListener("change", this.redraw);
    operator.notes.addEventListener("change", this.redraw);
    this.draw();
  }

  dispose() {
    this.history.removeEventListener("change", this.redraw);
    this.operator.notes.removeEventListener("change", this.redraw);
  }

  draw() {
    const shown = this.history.calls.filter(({ isMissed }) => isMissed || !this.onlyMissed.checked);
    this.rows.show(shown, ({ id }) => id);
    setText(this.empty, shown.length ? "" : t("recent.none"));
    // What has been shown has been seen; what came while the page was out of sight has not.
    if (document.visibilityState === "visible") this.history.markSeen();
  }

  row(call) {
    const { name, number, other, direction, began, ended, isMissed } = call;
    const shown = formatNumber(number);
    const party = name || shown || t("party.unknown");
    const sign = isMissed ? "✕" : DIRECTION_SIGNS[direction];
    const kind = isMissed ? t("recent.missed") : t(`direction.${direction}`);
    const duration = began && !isMissed ? formatDuration(ended - began) : "";
    const note = h("small", { class: "note" });
    const element = h(
      "li",
      {
        class: `recent-call ${isMissed ? "missed" : ""}`.trim(),
        title: other && t("recent.with", { party: formatNumber(other) }),
      },
      h("span", { class: "sign", "aria-hidden": "true" }, sign),
      h(
        "div",
        { class: "recent-text" },
        h("span", {}, party),
        name ? h("small", {}, shown) : null,
        h("small", {}, [kind, duration].filter(Boolean).join(" · "), " · ", relativeTime(ended)),
        note,
      ),
      button(t("people.call"), () => this.operator.outgoing.call(number, name), {
        class: "plain",
        disabled: !number,
        "aria-label": t("people.callPerson", { name: party }),
      }),
      button(t("note.button"), () => openNumberNote(number, name, this.operator.notes), {
        class: "plain",
        disabled: !number,
        "aria-label": t("note.about", { name: party }),
      }),
    );
    element.update = () => {
      const text = this.operator.notes.of(number);
      setText(note, text);
      setAttribute(note, "hidden", text ? null : "");
    };
    return element;
  }
}
