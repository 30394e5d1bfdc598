/** Fields of a form by name, each with its label, hint and error. */

import { h, setAttribute, setText, uniqueId } from "../dom.js";

export class FormFields {
  constructor() {
    /** Input, error and editor elements by field name; nested fields have dotted names. */
    this.fields = {};
  }

  /** Return the input of a field. */
  input(name) {
    return this.fields[name].input;
  }

  /** Return the text of a field, without spaces around it. */
  value(name) {
    return this.input(name).value.trim();
  }

  /** Create the element of a field with this input. */
  field(name, label, input, hint = "") {
    const id = uniqueId("field");
    const error = h("small", { class: "error-text", id: `${id}-error` });
    const help = hint ? h("small", { id: `${id}-hint` }, hint) : null;
    input.id = id;
    setAttribute(input, "aria-describedby", [help?.id, error.id].filter(Boolean).join(" "));
    this.fields[name] = { input, error };
    return h("div", { class: "field" }, h("label", { for: id }, label), input, help, error);
  }

  /** Create a field for a line of text; `attributes` are those of the input. */
  text(name, label, value, attributes = {}, hint = "") {
    const defaults = { type: "text", autocomplete: "off", required: true };
    return this.field(name, label, h("input", { ...defaults, ...attributes, value: value ?? "" }), hint);
  }

  /** Create a field for one of `options` {value: label}. */
  select(name, label, options, value, hint = "") {
    // A value that this page does not know, of an older or newer version, is kept unless the user changes it.
    const all = !value || Object.hasOwn(options, value) ? options : { [value]: value, ...options };
    const elements = Object.entries(all).map(([option, text]) =>
      h("option", { value: option, selected: option === value }, text),
    );
    return this.field(name, label, h("select", {}, elements), hint);
  }

  /** Create a field that is on or off; it cannot have an error. */
  checkbox(name, label, checked) {
    const input = h("input", { type: "checkbox", checked: Boolean(checked) });
    this.fields[name] = { input, error: null };
    return h("label", {}, input, label);
  }

  /** Create the element of a `KeyValueEditor` with its error. */
  group(editor, name) {
    const error = h("small", { class: "error-text", id: uniqueId("error") });
    setAttribute(editor.element, "aria-describedby", error.id);
    this.fields[name] = { input: editor.element, error, editor };
    return h("div", {}, editor.element, error);
  }

  /** Forget the fields whose names begin with a prefix. */
  forget(prefix) {
    for (const name of Object.keys(this.fields)) if (name.startsWith(prefix)) delete this.fields[name];
  }

  /** Return the editors by field name. */
  editors() {
    const pairs = Object.entries(this.fields).map(([name, { editor }]) => [name, editor]);
    return Object.fromEntries(pairs.filter(([, editor]) => editor));
  }

  /** Show errors by field name beside their fields, and focus the first; returns those of other fields as texts. */
  showErrors(fieldErrors) {
    const others = [];
    const texts = new Map();
    for (const [path, text] of Object.entries(fieldErrors)) {
      const name = Object.hasOwn(this.fields, path) ? path : path.split(".")[0];
      if (!this.fields[name]?.error) others.push(`${path}: ${text}`);
      else texts.set(name, [...(texts.get(name) ?? []), [path.slice(name.length + 1), text]]);
    }
    for (const [name, { input, error, editor }] of Object.entries(this.fields)) {
      const errors = texts.get(name) ?? [];
      const describe = ([key, text]) => (key && editor ? `${key}: ${text}` : text);
      if (error) setText(error, errors.map(describe).join("; "));
      if (editor) editor.markInvalid(errors.map(([key]) => key));
      else setAttribute(input, "aria-invalid", errors.length > 0 && "true");
    }
    this.focusInvalid([...texts.keys()]);
    return others;
  }

  /** Remove the error of the field of an element that is being corrected; returns whether errors are left. */
  unmark(target) {
    const isOf = ({ input, editor }) => (editor ? editor.element.contains(target) : input === target);
    const fields = Object.values(this.fields);
    const field = fields.find(isOf);
    if (field?.error?.textContent && !field.editor?.unmark(target)) {
      if (!field.editor) setAttribute(field.input, "aria-invalid", null);
      setText(field.error, "");
    }
    return fields.some(({ error }) => error?.textContent);
  }

  focusInvalid(names) {
    const inputs = Object.values(this.fields).flatMap(({ input, editor }) =>
      editor ? [...editor.element.querySelectorAll("input")] : [input],
    );
    const marked = inputs.find((input) => input.getAttribute("aria-invalid") === "true");
    // The error may be about a whole group, or a row without a name.
    const group = names.map((name) => this.fields[name].editor).find(Boolean);
    (marked ?? group?.element.querySelector("input, button"))?.focus();
  }
}
