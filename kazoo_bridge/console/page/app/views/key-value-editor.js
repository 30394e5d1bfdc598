/** An editor for keys and their values. */

import { button, h } from "../dom.js";

export class Pairs {
  constructor(title, hint, keyLabel, valueLabel, entries) {
    Object.assign(this, { title, keyLabel, valueLabel });
    this.list = h("div", { class: "pairs" });
    this.add = button("Add", () => this.append("", "").querySelector("input").focus(), {
      "aria-label": `Add to ${title}`,
    });
    this.element = h(
      "fieldset",
      {},
      h("legend", {}, title),
      h("p", { class: "hint" }, hint),
      this.list,
      this.add,
    );
    for (const [key, value] of entries) this.append(key, value);
  }

  append(key, value) {
    const row = h(
      "div",
      { class: "pair" },
      h("input", {
        type: "text",
        placeholder: this.keyLabel,
        "aria-label": `${this.title}: ${this.keyLabel}`,
        value: key,
      }),
      h("input", {
        type: "text",
        placeholder: this.valueLabel,
        "aria-label": `${this.title}: ${this.valueLabel}`,
        value,
      }),
      button(
        "✕",
        () => {
          row.remove();
          this.add.focus();
        },
        { class: "plain", "aria-label": "Remove" },
      ),
    );
    this.list.append(row);
    return row;
  }

  /** What is there, as an object; rows without a key are left out. */
  value() {
    const rows = [...this.list.children].map((row) =>
      [...row.querySelectorAll("input")].map((input) => input.value),
    );
    return Object.fromEntries(rows.filter(([key]) => key.trim()).map(([key, value]) => [key.trim(), value]));
  }
}
