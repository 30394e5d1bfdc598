/** An editor for an object's keys and values. */

import { button, h } from "../dom.js";

export class KeyValueEditor {
  constructor(title, hint, keyLabel, valueLabel, entries) {
    Object.assign(this, { title, keyLabel, valueLabel });
    this.list = h("div", { class: "key-values" });
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
    const input = (label, text) =>
      h("input", { type: "text", placeholder: label, "aria-label": `${this.title}: ${label}`, value: text });
    const remove = () => {
      row.remove();
      this.add.focus();
    };
    const row = h(
      "div",
      { class: "key-value" },
      input(this.keyLabel, key),
      input(this.valueLabel, value),
      button("✕", remove, { class: "plain", "aria-label": "Remove" }),
    );
    this.list.append(row);
    return row;
  }

  /** Return the rows as an object. Rows without a key are left out. */
  value() {
    const rows = [...this.list.children].map((row) =>
      [...row.querySelectorAll("input")].map((input) => input.value),
    );
    return Object.fromEntries(rows.filter(([key]) => key.trim()).map(([key, value]) => [key.trim(), value]));
  }
}
