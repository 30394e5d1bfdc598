/** Tabs (the ARIA tabs pattern): one of several panels, selected by click or with the arrow keys. */

import { h, setAttribute, uniqueId } from "../dom.js";

export class Tabs {
  /** `panels` is [name, element, load]; `load` is called when a panel is selected, and by `reload`. */
  constructor(label, panels) {
    this.loaders = panels.map(([, , load]) => load);
    this.tabs = panels.map(([name], index) =>
      h(
        "button",
        { type: "button", role: "tab", id: uniqueId("tab"), onclick: () => this.select(index) },
        name,
      ),
    );
    this.panels = panels.map(([, element], index) =>
      h(
        "div",
        {
          role: "tabpanel",
          id: uniqueId("panel"),
          "aria-labelledby": this.tabs[index].id,
          tabindex: "0",
        },
        element,
      ),
    );
    this.tabs.forEach((tab, index) => setAttribute(tab, "aria-controls", this.panels[index].id));
    const onkeydown = (event) => this.onKeyDown(event);
    this.element = h(
      "section",
      {},
      h("div", { role: "tablist", "aria-label": label, onkeydown }, this.tabs),
      this.panels,
    );
    this.select(0);
  }

  select(selected) {
    this.selected = selected;
    this.tabs.forEach((tab, index) => {
      setAttribute(tab, "aria-selected", String(index === selected));
      tab.tabIndex = index === selected ? 0 : -1;
      this.panels[index].hidden = index !== selected;
    });
    this.reload();
  }

  /** Load the selected panel. */
  reload() {
    this.loaders[this.selected]();
  }

  onKeyDown(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const next = (this.selected + step + this.tabs.length) % this.tabs.length;
    this.select(next);
    this.tabs[next].focus();
  }
}
