/** The form to create or edit a webhook, with the events and modifiers of the catalogue. */

import { openDialog } from "../dialogs.js";
import { h, runOnce, setAttribute, setText, uniqueId } from "../dom.js";
import { SIGNATURES, SIGNATURE_HINTS, secretRequest } from "../signing.js";
import { notifyError } from "../toasts.js";
import {
  conflictText,
  documentChanges,
  entriesWithout,
  entryErrors,
  formatFilterValue,
  formatSchedule,
  headersOf,
  listErrors,
  modifierOptions,
  nullIfEmpty,
  parseFilterValue,
  parseNumber,
  parseSchedule,
  parseSuccessCodes,
  setOrDelete,
} from "../webhook-document.js";
import { KeyValueEditor } from "./key-value-editor.js";
import { showNewSecret } from "./secret-dialog.js";

/** Not part of the catalogue, like in KAZOO, but a valid event of a webhook. */
const ALL_EVENTS = { id: "all", name: "All events of KAZOO", description: "Every event of KAZOO", modifiers: {} };

const DEFAULT_EVENT = "channel_create";
const DEFAULT_RETRIES = 2;
const METHODS = { post: "POST", put: "PUT", get: "GET" };
const FORMATS = { "form-data": "Form", json: "JSON" };
const NUMBERS = ["rate_limit", "timeout_ms", "max_age_s"];
const NOT_SIGNED = "none";
const RETRIES = { 0: "0", 1: "1", 2: "2", 3: "3", 4: "4" };

/**
 * Open the form for a new webhook or, with `hook` at `revision`, an existing one. Resolves to the saved
 * document, or to null when the form was closed.
 */
export async function openHookForm(app, hook = null, revision = null) {
  let catalogue;
  try {
    catalogue = await app.rest.get("webhooks");
  } catch (error) {
    notifyError(`Cannot load the catalogue of events: ${error.message}`);
    return null;
  }
  // The user may have signed out or switched accounts during the request.
  if (app.view === null) return null;
  return new Promise((resolve) => {
    let saved = null;
    const base = { hook, revision };
    const save = async (document, signature) => {
      saved = hook
        ? await change(app, base, document)
        : await app.rest.send("PUT", app.webhooks.path(), { ...document, ...signature });
      dialog.close();
      if (signature) showNewSecret(saved);
    };
    const form = new HookForm([...catalogue, ALL_EVENTS], hook, save);
    const title = hook ? `Edit ${hook.name}` : "New webhook";
    const isChanged = () => form.isChanged();
    const options = { wide: true, persistent: true, isChanged, onClose: () => resolve(saved) };
    const dialog = openDialog(title, form.element, options);
    form.focus();
  });
}

/**
 * Send what `document` changes of the webhook `base.hook`, and nothing else. Resolves to the changed webhook.
 *
 * When it was changed meanwhile, throws an error that says so, and takes over the new `base.revision`: the next
 * attempt makes the same changes to it.
 */
async function change(app, base, document) {
  const { hook, revision } = base;
  const changes = documentChanges(hook, document);
  if (!Object.keys(changes).length) return hook;
  const path = app.webhooks.path(hook.id);
  try {
    return await app.rest.send("PATCH", path, changes, { "If-Match": `"${revision}"` });
  } catch (error) {
    if (error.status !== 412 && error.status !== 409) throw error;
    const current = await app.rest.request("GET", path);
    if (current.revision === revision) throw error;
    base.revision = current.revision;
    throw new Error(conflictText(hook, changes, current.data));
  }
}

class HookForm {
  /**
   * `save(document, signature)` may throw `RestError`, whose fields are shown; `signature` has the properties
   * of a new webhook that ask for a secret, or is null.
   */
  constructor(catalogue, hook, save) {
    this.catalogue = catalogue;
    this.hook = hook;
    this.save = save;
    /** Input and error elements by field name; nested fields have dotted names. */
    this.fields = {};
    const values = hook ?? {};
    this.error = h("p", { class: "error-text", role: "alert" });
    this.modifierSelects = h("div", { class: "fields" });
    this.eventDescription = h("p", { class: "hint" });
    this.customData = new KeyValueEditor(
      "Custom data",
      "Sent with every request, in addition to the payload.",
      "Key",
      "Value",
      entriesWithout(values.custom_data, this.modifierNames(values.hook)),
    );
    this.filters = new KeyValueEditor(
      "Filters",
      "Events whose payload has the key are sent only if its value is one of these, or fits operators: " +
        '{"$prefix": "+49"}.',
      "Key",
      "Value, several separated by commas, or operators",
      Object.entries(values.modifiers ?? {}).map(([key, value]) => [key, formatFilterValue(value)]),
    );
    this.headers = new KeyValueEditor(
      "Headers",
      "Sent with every request. Values are secret and not shown again; one that is left empty is kept.",
      "Name",
      "Value",
      Object.entries(values.headers ?? {}),
      true,
    );
    this.submit = h("button", { type: "submit", class: "primary" }, hook ? "Save" : "Create");
    this.element = h(
      "form",
      {
        class: "hook-form",
        novalidate: true,
        onsubmit: (event) => this.onSubmit(event),
        oninput: ({ target }) => this.unmark(target),
      },
      h(
        "div",
        { class: "fields" },
        this.text("name", "Name", values.name),
        this.text("uri", "URL", values.uri, { type: "url", placeholder: "https://example.com/hooks" }),
        this.eventSelect(values.hook),
      ),
      this.eventDescription,
      this.modifierSelects,
      this.deliveryFields(values),
      this.receiverFields(values),
      h("p", { class: "hint" }, "Where one of these is left empty, the server's settings apply."),
      this.optionFields(values),
      hook === null && this.signatureField(),
      this.group(this.customData, "custom_data"),
      this.group(this.filters, "modifiers"),
      this.group(this.headers, "headers"),
      this.error,
      h("div", { class: "buttons" }, this.submit),
    );
    this.updateModifiers(values.custom_data ?? {});
    this.initial = this.content();
  }

  /** Whether the user has changed anything since the form was opened. */
  isChanged() {
    return this.content() !== this.initial;
  }

  content() {
    const inputs = [...this.element.querySelectorAll("input, select")];
    return JSON.stringify(inputs.map(({ type, checked, value }) => (type === "checkbox" ? checked : value)));
  }

  focus() {
    this.fields.name.input.focus();
  }

  // -- fields

  deliveryFields(values) {
    return h(
      "div",
      { class: "fields" },
      this.select("http_verb", "Method", METHODS, values.http_verb),
      this.select("format", "Format", FORMATS, values.format),
      this.select("retries", "Quick retries", RETRIES, String(values.retries ?? DEFAULT_RETRIES)),
      this.text("group", "Group", values.group, { required: false }),
      this.text("rate_limit", "Rate limit (requests per second)", values.rate_limit, {
        type: "number",
        min: "0.01",
        max: "1000",
        step: "any",
        placeholder: "no limit",
        required: false,
      }),
    );
  }

  receiverFields(values) {
    const seconds = { type: "number", min: "1", max: "604800", placeholder: "never", required: false };
    return h(
      "div",
      { class: "fields" },
      this.text("success_codes", "Success codes", values.success_codes?.join(", "), {
        placeholder: "200, or 2xx",
        required: false,
      }),
      this.text("timeout_ms", "Time-out (milliseconds)", values.timeout_ms, {
        type: "number",
        min: "100",
        max: "30000",
        required: false,
      }),
      this.text("retry_schedule_s", "Retry after (seconds)", formatSchedule(values.retry_schedule_s), {
        placeholder: "5, 60, 600, or none",
        required: false,
      }),
      this.text("max_age_s", "Drop events older than (seconds)", values.max_age_s, seconds),
    );
  }

  optionFields(values) {
    return h(
      "fieldset",
      { class: "checkboxes" },
      h("legend", {}, "Options"),
      this.checkbox("enabled", "Enabled", values.enabled ?? true),
      this.checkbox("include_subaccounts", "Include events of sub-accounts", values.include_subaccounts),
      this.checkbox(
        "include_internal_legs",
        "Include internal legs of the switch",
        values.include_internal_legs ?? true,
      ),
      this.checkbox("ordered", "Deliver the events of a call strictly in order", values.ordered),
    );
  }

  signatureField() {
    const hint = h("small", {}, "");
    const kinds = { [NOT_SIGNED]: "None", ...SIGNATURES };
    const element = this.select("signature", "Signature of requests", kinds);
    const { input } = this.fields.signature;
    input.addEventListener("change", () => setText(hint, SIGNATURE_HINTS[input.value]));
    element.append(hint);
    return h("div", { class: "fields" }, element);
  }

  /** The properties that ask for a secret; null for none. */
  signature() {
    const kind = this.fields.signature?.input.value ?? NOT_SIGNED;
    return kind === NOT_SIGNED ? null : secretRequest(kind);
  }

  field(name, label, input) {
    const id = uniqueId("field");
    const error = h("small", { class: "error-text", id: `${id}-error` });
    input.id = id;
    setAttribute(input, "aria-describedby", error.id);
    this.fields[name] = { input, error };
    return h("div", { class: "field" }, h("label", { for: id }, label), input, error);
  }

  text(name, label, value, attributes = {}) {
    const defaults = { type: "text", autocomplete: "off", required: true };
    return this.field(name, label, h("input", { ...defaults, ...attributes, value: value ?? "" }));
  }

  select(name, label, options, value) {
    // A value that this page does not know, of an older or newer version, is kept unless the user changes it.
    const all = !value || Object.hasOwn(options, value) ? options : { [value]: value, ...options };
    const elements = Object.entries(all).map(([option, text]) =>
      h("option", { value: option, selected: option === value }, text),
    );
    return this.field(name, label, h("select", {}, elements));
  }

  checkbox(name, label, checked) {
    const input = h("input", { type: "checkbox", checked: Boolean(checked) });
    this.fields[name] = { input, error: null };
    return h("label", {}, input, label);
  }

  eventSelect(value) {
    const isListed = this.catalogue.some(({ id }) => id === value) || !value;
    const options = Object.fromEntries([
      ...(isListed ? [] : [[value, `${value} (older name)`]]),
      ...this.catalogue.map(({ id, name }) => [id, name]),
    ]);
    const element = this.select("hook", "Event", options, value ?? DEFAULT_EVENT);
    this.fields.hook.input.addEventListener("change", () => this.updateModifiers({}));
    return element;
  }

  group(editor, name) {
    const error = h("small", { class: "error-text", id: uniqueId("error") });
    setAttribute(editor.element, "aria-describedby", error.id);
    this.fields[name] = { input: editor.element, error, editor };
    return h("div", {}, editor.element, error);
  }

  // -- modifiers of the selected event

  eventType(hookId) {
    return this.catalogue.find(({ id }) => id === hookId);
  }

  modifierNames(hookId) {
    return Object.keys(this.eventType(hookId)?.modifiers ?? {});
  }

  updateModifiers(values) {
    for (const name of Object.keys(this.fields)) {
      if (name.startsWith("custom_data.")) delete this.fields[name];
    }
    const type = this.eventType(this.fields.hook.input.value);
    setText(this.eventDescription, type?.description ?? "");
    const selects = Object.entries(type?.modifiers ?? {}).map(([name, modifier]) => {
      const label = modifier.description ?? capitalize(name);
      const value = values[name] ?? modifier.default ?? "all";
      return this.select(`custom_data.${name}`, label, modifierOptions(modifier), value);
    });
    this.modifierSelects.replaceChildren(...selects);
  }

  // -- saving

  document() {
    const value = (name) => this.fields[name].input.value.trim();
    const document = { ...this.hook };
    for (const name of ["name", "uri", "hook", "http_verb", "format"]) document[name] = value(name);
    for (const name of ["enabled", "include_subaccounts", "include_internal_legs", "ordered"]) {
      document[name] = this.fields[name].input.checked;
    }
    document.retries = Number(value("retries"));
    setOrDelete(document, "group", value("group"));
    for (const name of NUMBERS) setOrDelete(document, name, parseNumber(value(name)));
    setOrDelete(document, "success_codes", parseSuccessCodes(value("success_codes")));
    setOrDelete(document, "retry_schedule_s", parseSchedule(value("retry_schedule_s")));
    setOrDelete(document, "headers", nullIfEmpty(headersOf(this.headers.entries(), this.hook?.headers)));
    const modifiers = this.modifierNames(document.hook).map((name) => [name, value(`custom_data.${name}`)]);
    const customData = { ...Object.fromEntries(this.customData.entries()), ...Object.fromEntries(modifiers) };
    setOrDelete(document, "custom_data", nullIfEmpty(customData));
    const filters = this.filters.entries().map(([key, text]) => [
      key,
      this.filterValue(key, text),
    ]);
    setOrDelete(document, "modifiers", nullIfEmpty(Object.fromEntries(filters)));
    return document;
  }

  filterValue(key, text) {
    try {
      return parseFilterValue(text, this.hook?.modifiers?.[key]);
    } catch (error) {
      const problem = "expected JSON after the brace or bracket, without null";
      throw Object.assign(error, { fields: { [`modifiers.${key}`]: problem } });
    }
  }

  onSubmit(event) {
    event.preventDefault();
    runOnce(this.submit, () => this.send());
  }

  async send() {
    const errors = this.inputErrors();
    this.showErrors("", errors);
    if (Object.keys(errors).length) return;
    try {
      await this.save(this.document(), this.signature());
    } catch (error) {
      this.showErrors(error.message, error.fields ?? {});
    }
  }

  /** What the server would not see, or explains less: text for numbers, values without a name. */
  inputErrors() {
    const bad = NUMBERS.filter((name) => this.fields[name].input.validity.badInput);
    const groups = Object.entries(this.fields).filter(([, { editor }]) => editor);
    return Object.assign(
      Object.fromEntries(bad.map((name) => [name, "expected a number"])),
      listErrors(this.fields.success_codes.input.value, this.fields.retry_schedule_s.input.value),
      ...groups.map(([name, { editor }]) => entryErrors(name, editor.entries())),
    );
  }

  /** Show errors by field name beside their fields; errors of other fields appear below the form. */
  showErrors(message, fieldErrors) {
    const otherErrors = [];
    const texts = new Map();
    for (const [path, text] of Object.entries(fieldErrors)) {
      const name = Object.hasOwn(this.fields, path) ? path : path.split(".")[0];
      if (!this.fields[name]?.error) otherErrors.push(`${path}: ${text}`);
      else texts.set(name, [...(texts.get(name) ?? []), [path.slice(name.length + 1), text]]);
    }
    for (const [name, { input, error, editor }] of Object.entries(this.fields)) {
      const errors = texts.get(name) ?? [];
      const describe = ([key, text]) => (key && editor ? `${key}: ${text}` : text);
      if (error) setText(error, errors.map(describe).join("; "));
      if (editor) editor.markInvalid(errors.map(([key]) => key));
      else setAttribute(input, "aria-invalid", errors.length > 0 && "true");
    }
    const hasFieldErrors = Object.keys(fieldErrors).length > 0;
    setText(
      this.error,
      hasFieldErrors ? ["Please correct the marked fields.", ...otherErrors].join(" ") : message,
    );
    this.focusInvalid([...texts.keys()]);
  }

  /** Remove the error of a field that is being corrected. */
  unmark(target) {
    const isOf = ({ input, editor }) => (editor ? editor.element.contains(target) : input === target);
    const fields = Object.values(this.fields);
    const field = fields.find(isOf);
    if (!field?.error?.textContent) return;
    if (field.editor?.unmark(target)) return;
    if (!field.editor) setAttribute(field.input, "aria-invalid", null);
    setText(field.error, "");
    if (!fields.some(({ error }) => error?.textContent)) setText(this.error, "");
  }

  focusInvalid(names) {
    const marked = this.element.querySelector('input[aria-invalid="true"], select[aria-invalid="true"]');
    // The error may be about a whole group, or a row without a name.
    const group = names.map((name) => this.fields[name].editor).find(Boolean);
    (marked ?? group?.element.querySelector("input, button"))?.focus();
  }
}

const capitalize = (word) => word.charAt(0).toUpperCase() + word.slice(1);
