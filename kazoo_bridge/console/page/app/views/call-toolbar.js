/** The summary of live calls, whose counts are filters, with the search and the choice of panels. */

import { DIRECTIONS } from "../calls.js";
import { button, h, setAttribute, setText, toResults } from "../dom.js";
import { icon } from "../icons.js";
import { LANES } from "../lanes.js";
import { t } from "../strings.js";

/** The panels beside the calls. */
export const PANELS = ["people", "recent"];

export class CallToolbar {
  /**
   * `callbacks` has `onFilter()` after a filter was changed in the settings, `firstRow()`,
   * `openPreferences()` and `openAskSettings()`.
   */
  constructor(settings, callbacks) {
    Object.assign(this, { settings, callbacks });
    this.counts = {};
    this.lanes = Object.fromEntries(["", ...LANES].map((lane) => [lane, this.laneButton(lane)]));
    this.search = h("input", {
      type: "search",
      placeholder: t("calls.searchHint"),
      "aria-label": t("calls.search"),
      value: settings.get("search"),
      maxlength: "200",
      oninput: () => this.setFilter("search", this.search.value),
      onkeydown: (event) => toResults(event, callbacks.firstRow),
    });
    this.direction = h(
      "select",
      {
        "aria-label": t("calls.anyDirection"),
        onchange: () => this.setFilter("direction", this.direction.value),
      },
      h("option", { value: "" }, t("calls.anyDirection")),
      Object.entries(DIRECTIONS).map(([value, name]) => h("option", { value }, name)),
    );
    this.direction.value = settings.get("direction") in DIRECTIONS ? settings.get("direction") : "";
    this.count = h("span", { class: "hint", role: "status" });
    this.unseen = h("span", { class: "badge error", hidden: true });
    this.panels = Object.fromEntries(PANELS.map((panel) => [panel, this.panelButton(panel)]));
    this.panels.recent.append(" ", this.unseen);
    this.phoneName = h("span", {});
    this.phone = button(this.phoneName, callbacks.openPreferences, { class: "phone" });
    this.ask = button([icon("phone-incoming"), t("ask.button")], callbacks.openAskSettings, {});
    this.element = h(
      "div",
      { class: "operator-bar" },
      h("div", { class: "lane-filters", role: "group", "aria-label": t("calls.lanes") }, Object.values(this.lanes)),
      h("div", { class: "toolbar", role: "search" }, this.search, this.direction, this.count),
      h("div", { class: "toolbar tools" }, this.phone, this.ask, Object.values(this.panels)),
    );
    this.update({ counts: {}, shown: 0, live: 0 }, 0, false);
  }

  laneButton(lane) {
    this.counts[lane] = h("strong", {}, "0");
    const label = h("span", {}, lane ? t(`lane.${lane}`) : t("lane.all"));
    const choose = () => this.setFilter("lane", this.settings.get("lane") === lane ? "" : lane);
    return button([this.counts[lane], " ", label], choose, { class: "lane-filter", "data-lane": lane || "all" });
  }

  panelButton(panel) {
    const toggle = () => this.settings.set("panel", this.settings.panel === panel ? "" : panel);
    return button(t(`panel.${panel}`), toggle, {});
  }

  setFilter(name, value) {
    this.settings.set(name, value);
    this.callbacks.onFilter();
  }

  /** Show the counts of `arrangeInLanes`, "–" before the first, and how many missed calls are new. */
  update({ counts, shown, live }, unseen, isLoaded = true) {
    const phone = this.settings.get("phone");
    const { lanes } = this;
    for (const [lane, control] of Object.entries(lanes)) {
      const count = lane ? (counts[lane] ?? 0) : live;
      setText(this.counts[lane], isLoaded ? count : "–");
      setAttribute(control, "aria-pressed", String(this.settings.get("lane") === lane));
      setAttribute(control, "data-count", count ? "some" : "none");
    }
    lanes.mine.hidden = phone === null;
    setText(this.count, shown === live ? "" : t("calls.shown", { shown, count: live }));
    this.unseen.hidden = !unseen;
    setText(this.unseen, unseen);
    for (const panel of PANELS) {
      setAttribute(this.panels[panel], "aria-pressed", String(this.settings.panel === panel));
    }
    setAttribute(this.ask, "aria-pressed", String(this.settings.get("askFor").length > 0));
    const text = phone ? t("phone.mine", { name: phone.name }) : t("phone.choose");
    setText(this.phoneName, text);
    setAttribute(this.phone, "title", phone ? text : null);
  }
}
