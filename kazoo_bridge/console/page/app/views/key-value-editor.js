/** An editor for an object's keys and values. */

import { button, h, setAttribute } from "../dom.js";
import { icon } from "../icons.js";
import { t } from "../strings.js";
import { MASK } from "../webhook-document.js";

export class KeyValueEditor {
  /**
   * With `masked`, values that are the server's mask are shown as one, and kept if left empty. `keyList` is the id
   * of a list that suggests keys.
   */
  constructor(title, hint, keyLabel, valueLabel, entries, { masked = false, keyList = null } = {}) {
    Object.assign(this, { title, keyLabel, valueLabel, masked, keyList });
    this.list = h("div", { class: "key-values" });
    this.add = button([icon("plus"), t("form.add")], () => this.append("", "").querySelector("input").focus(), {
      "aria-label": t("form.addTo", { title }),
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
    const input = (label, text, attributes = {}) =>
      h("input", {
        type: "text",
        placeholder: label,
        "aria-label": `${this.title}: ${label}`,
        autocomplete: "off",
        value: text,
        ...attributes,
      });
    const remove = () => {
      row.remove();
      this.add.focus();
      this.element.dispatchEvent(new Event("input", { bubbles: true }));
    };
    const isMasked = this.masked && value === MASK;
    const keep = { placeholder: MASK, "aria-label": t("form.kept", { label: `${this.title}: ${this.valueLabel}` }) };
    const row = h(
      "div",
      { class: "key-value" },
      input(this.keyLabel, key, { list: this.keyList }),
      isMasked ? input(this.valueLabel, "", keep) : input(this.valueLabel, value),
      button(icon("x"), remove, { class: "quiet icon-only", "aria-label": t("form.removeFrom", { title: this.title }) }),
    );
    row.isMasked = isMasked;
    this.list.append(row);
    return row;
  }

  /** Return the rows as pairs [key, value], without empty rows. A masked value that is kept is the mask. */
  entries() {
    const pairs = this.rows().map(({ isMasked, inputs: [key, value] }) => [
      key.value.trim(),
      value.value === "" && isMasked ? MASK : value.value,
    ]);
    return pairs.filter(([key, value]) => key || value);
  }

  /** Mark the rows whose keys (in any case) begin one of these paths as invalid, and no others. */
  markInvalid(paths) {
    const invalid = paths.map((path) => `${path}.`.toLowerCase());
    for (const { inputs } of this.rows()) {
      const key = `${inputs[0].value.trim()}.`.toLowerCase();
      const isInvalid = invalid.some((path) => path.startsWith(key));
      for (const input of inputs) setAttribute(input, "aria-invalid", isInvalid && "true");
    }
  }

  /** Remove the marks of the row of an input; returns whether other rows are marked. */
  unmark(input) {
    const rows = this.rows();
    const changed = rows.find(({ inputs }) => inputs.includes(input));
    for (const one of changed?.inputs ?? []) setAttribute(one, "aria-invalid", null);
    return rows.some(({ inputs }) => inputs[0].hasAttribute("aria-invalid"));
  }

  rows() {
    return [...this.list.children].map((row) => ({
      isMasked: row.isMasked,
      inputs: [...row.querySelectorAll("input")],
    }));
  }
}
