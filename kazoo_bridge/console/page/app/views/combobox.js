/** A field with suggestions below it (the ARIA combobox pattern), in the flow of the page. */

import { h, setAttribute, uniqueId } from "../dom.js";
import { t } from "../strings.js";

export class Combobox {
  /**
   * - `optionsOf(text)` returns the options for a text, `{key, name, detail, state, value}`;
   * - `onSubmit(choice, event)` is called on Enter, and `onInput()` when the choice changes; see `choice`;
   * - `isValue(text)` says whether a text can be used as it is: else Enter selects the first option.
   */
  constructor({ label, placeholder, optionsOf, onSubmit, onInput = () => {}, isValue = () => true, maxlength = 256 }) {
    Object.assign(this, { optionsOf, onSubmit, onInput, isValue });
    this.id = uniqueId("combobox");
    this.options = [];
    this.active = -1;
    this.input = h("input", {
      type: "text",
      role: "combobox",
      autocomplete: "off",
      "aria-autocomplete": "list",
      "aria-expanded": "false",
      "aria-controls": this.id,
      maxlength,
      placeholder,
      oninput: () => this.onTyped(),
      onkeydown: (event) => this.onKeyDown(event),
    });
    this.list = h("ul", { class: "listbox options", role: "listbox", id: this.id, "aria-label": t("combobox.suggestions") });
    this.element = h("div", { class: "combobox" }, h("label", {}, h("span", {}, label), this.input), this.list);
    this.update();
  }

  /** What is chosen: `{value, option}`; the option is null for a text that was typed. */
  get choice() {
    const option = this.options[this.active] ?? null;
    return { value: option?.value ?? this.input.value.trim(), option };
  }

  /** Set the text, and select an option with this value if there is one. */
  set(text, value = null) {
    this.input.value = text;
    this.update();
    this.setActive(this.options.findIndex((option) => option.value === value));
  }

  /** Show the options again, for example because their states have changed. */
  update() {
    const active = this.options[this.active]?.key;
    this.options = this.optionsOf(this.input.value);
    this.list.replaceChildren(...this.options.map((option, index) => this.row(option, index)));
    setAttribute(this.input, "aria-expanded", String(this.options.length > 0));
    this.setActive(this.options.findIndex(({ key }) => key === active));
  }

  onTyped() {
    this.active = -1;
    this.update();
    const text = this.input.value.trim();
    if (text && !this.isValue(text)) this.setActive(0);
    this.onInput();
  }

  onKeyDown(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) {
      event.preventDefault();
      this.setActive(Math.max(-1, Math.min(this.active + step, this.options.length - 1)));
      this.onInput();
    } else if (event.key === "Enter" && !event.isComposing && !event.repeat) {
      event.preventDefault();
      this.onSubmit(this.choice, event);
    }
  }

  setActive(index) {
    this.active = index < this.options.length ? index : -1;
    [...this.list.children].forEach((row, at) => {
      setAttribute(row, "data-active", at === this.active ? "true" : null);
      setAttribute(row, "aria-selected", String(at === this.active));
    });
    const row = this.list.children[this.active];
    row?.scrollIntoView?.({ block: "nearest" });
    setAttribute(this.input, "aria-activedescendant", row ? row.getAttribute("id") : null);
  }

  row({ name, detail, state }, index) {
    return h(
      "li",
      {
        role: "option",
        id: `${this.id}-${index}`,
        "aria-selected": "false",
        onclick: () => {
          this.setActive(index);
          this.onInput();
          this.input.focus();
        },
      },
      state ? h("i", { class: `dot ${state.kind}`, "aria-hidden": "true" }) : null,
      h("span", {}, name),
      h("small", {}, [detail, state?.text].filter(Boolean).join(" · ")),
    );
  }
}
