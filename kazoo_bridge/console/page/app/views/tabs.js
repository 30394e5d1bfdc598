/** Tabs: one of several panels, chosen with the arrow keys or the mouse. */

import { freshId, h, setAttribute } from "../dom.js";

export class Tabs {
  /** `panels`: [name, element, load]; `load` is called when a panel is turned to, and by `reload`. */
  constructor(label, panels) {
    this.loads = panels.map(([, , load]) => load);
    this.tabs = panels.map(([name], at) =>
      h("button", { type: "button", role: "tab", id: freshId("tab"), onclick: () => this.choose(at) }, name),
    );
    this.panels = panels.map(([, element], at) =>
      h(
        "div",
        { role: "tabpanel", id: freshId("panel"), "aria-labelledby": this.tabs[at].id, tabindex: "0" },
        element,
      ),
    );
    this.tabs.forEach((tab, at) => setAttribute(tab, "aria-controls", this.panels[at].id));
    this.element = h(
      "section",
      { class: "tabs" },
      h(
        "div",
        { role: "tablist", "aria-label": label, onkeydown: (event) => this.pressed(event) },
        this.tabs,
      ),
      this.panels,
    );
    this.choose(0);
  }

  choose(chosen) {
    this.chosen = chosen;
    this.tabs.forEach((tab, at) => {
      setAttribute(tab, "aria-selected", String(at === chosen));
      tab.tabIndex = at === chosen ? 0 : -1;
      this.panels[at].hidden = at !== chosen;
    });
    this.reload();
  }

  /** Load what is being looked at. */
  reload() {
    this.loads[this.chosen]();
  }

  pressed(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const next = (this.chosen + step + this.tabs.length) % this.tabs.length;
    this.choose(next);
    this.tabs[next].focus();
  }
}
