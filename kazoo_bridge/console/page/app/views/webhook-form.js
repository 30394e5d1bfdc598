/** The form to create, edit or duplicate a webhook, with the events and modifiers of the catalogue. */

import { loadCatalogue } from "../catalogue.js";
import { openDialog } from "../dialogs.js";
import { copyOf, saveChanges } from "../document-saving.js";
import { button, h, runOnce, setText } from "../dom.js";
import { SIGNATURES, SIGNATURE_HINTS, secretRequest } from "../signing.js";
import { t } from "../strings.js";
import { notifyError } from "../toasts.js";
import {
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
  urlError,
} from "../webhook-document.js";
import { FormFields } from "./form-fields.js";
import { KeyValueEditor } from "./key-value-editor.js";
import { PayloadSample } from "./payload-sample.js";
import { showNewSecret } from "./secret-dialog.js";

/** Not part of the catalogue, like in KAZOO, but a valid event of a webhook. */
const ALL_EVENTS = { id: "all", name: t("form.allEvents"), description: t("form.allEventsDetail"), modifiers: {} };

const DEFAULT_EVENT = "channel_create";

/** Of a new webhook; without a format, the server's default is KAZOO's: a form. */
const DEFAULT_FORMAT = "json";
const DEFAULT_RETRIES = 2;
const METHODS = { post: "POST", put: "PUT", get: "GET" };
const FORMATS = { json: "JSON", "form-data": t("form.formFormat") };
const NUMBERS = ["rate_limit", "timeout_ms", "max_age_s"];
const NOT_SIGNED = "none";
const RETRIES = { 0: "0", 1: "1", 2: "2", 3: "3", 4: "4" };

/**
 * Open the form for a new webhook, for the webhook `hook` at `revision`, or for a copy of `template`. Resolves to
 * the saved document, or to null when the form was closed.
 */
export async function openHookForm(app, { hook = null, revision = null, template = null } = {}) {
  let catalogue;
  try {
    catalogue = await loadCatalogue(app.rest);
  } catch (error) {
    notifyError(t("form.noCatalogue", { reason: error.message }));
    return null;
  }
  // The user may have signed out or switched accounts during the request.
  if (app.view === null) return null;
  return new Promise((resolve) => {
    let saved = null;
    const base = { document: hook, revision };
    const save = async (document, signature) => {
      saved = hook
        ? await saveChanges(app.rest, app.webhooks.path(hook.id), base, document)
        : await app.rest.send("PUT", app.webhooks.path(), { ...document, ...signature });
      dialog.close();
      if (signature) showNewSecret(saved);
    };
    const start = template && copyOf(template, t("form.copyName", { name: template.name }));
    const form = new HookForm(app.rest, [...catalogue, ALL_EVENTS], { hook, start }, save, () => dialog.close());
    const title = hook ? t("form.edit", { name: hook.name }) : t("hooks.new");
    const isChanged = () => form.isChanged();
    const options = { wide: true, persistent: true, isChanged, onClose: () => resolve(saved) };
    const dialog = openDialog(title, form.element, options);
    form.focus();
  });
}

class HookForm extends FormFields {
  /**
   * `hook` is the webhook that is edited, or null; `start` the values of a new one, or null. `save(document,
   * signature)` may throw `RestError`, whose fields are shown; `signature` has the properties of a new webhook
   * that ask for a secret, or is null. `close()` closes the form.
   */
  constructor(rest, catalogue, { hook, start }, save, close) {
    super();
    Object.assign(this, { catalogue, hook, save });
    const values = hook ?? start ?? { format: DEFAULT_FORMAT };
    this.error = h("p", { class: "error-text", role: "alert" });
    this.modifierSelects = h("div", { class: "fields" });
    this.eventDescription = h("p", { class: "hint" });
    this.sample = new PayloadSample(rest);
    this.buildEditors(values);
    this.submit = h("button", { type: "submit", class: "primary" }, t(hook ? "common.save" : "common.create"));
    this.element = h(
      "form",
      {
        class: "hook-form",
        novalidate: true,
        onsubmit: (event) => this.onSubmit(event),
        oninput: ({ target }) => this.unmark(target) || setText(this.error, ""),
      },
      h(
        "div",
        { class: "fields" },
        this.text("name", t("common.name"), values.name),
        this.text("uri", t("hook.url"), values.uri, { type: "url", placeholder: "https://example.com/hooks" }),
        this.eventSelect(values.hook),
      ),
      h("div", {}, this.eventDescription, this.sample.element),
      this.modifierSelects,
      this.deliveryFields(values),
      this.optionFields(values),
      hook === null && this.signatureField(),
      this.group(this.filters, "modifiers"),
      h(
        "details",
        { class: "more", open: hasAdvanced(values) },
        h("summary", {}, t("form.advanced")),
        h(
          "div",
          { class: "hook-form" },
          h("p", { class: "hint" }, t("form.advancedHint")),
          this.receiverFields(values),
          this.group(this.customData, "custom_data"),
          this.group(this.headers, "headers"),
        ),
      ),
      this.error,
      h("div", { class: "buttons sticky" }, button(t("common.cancel"), close), this.submit),
    );
    this.updateModifiers(values.custom_data ?? {});
    this.initial = this.content();
  }

  buildEditors(values) {
    const key = t("form.key");
    this.customData = new KeyValueEditor(
      t("form.customData"),
      t("form.customDataHint"),
      key,
      t("form.value"),
      entriesWithout(values.custom_data, this.modifierNames(values.hook)),
    );
    this.filters = new KeyValueEditor(
      t("form.filters"),
      t("form.filtersHint"),
      key,
      t("form.filterValue"),
      Object.entries(values.modifiers ?? {}).map(([name, value]) => [name, formatFilterValue(value)]),
      { keyList: this.sample.keysId },
    );
    this.headers = new KeyValueEditor(
      t("form.headers"),
      t("form.headersHint"),
      t("common.name"),
      t("form.value"),
      Object.entries(values.headers ?? {}),
      { masked: true },
    );
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
    this.input("name").focus();
  }

  // -- fields

  deliveryFields(values) {
    return h(
      "div",
      { class: "fields" },
      this.select("http_verb", t("form.method"), METHODS, values.http_verb),
      this.select("format", t("form.format"), FORMATS, values.format ?? "form-data", t("form.formatHint")),
      this.select("retries", t("form.retries"), RETRIES, String(values.retries ?? DEFAULT_RETRIES), t("form.retriesHint")),
      this.text("group", t("form.group"), values.group, { required: false }, t("form.groupHint")),
    );
  }

  receiverFields(values) {
    const number = (attributes) => ({ type: "number", required: false, ...attributes });
    return h(
      "div",
      { class: "fields" },
      this.text("success_codes", t("form.successCodes"), values.success_codes?.join(", "), {
        placeholder: "200, 2xx",
        required: false,
      }),
      this.text("timeout_ms", t("form.timeout"), values.timeout_ms, number({ min: "100", max: "30000" })),
      this.text("retry_schedule_s", t("form.schedule"), formatSchedule(values.retry_schedule_s), {
        placeholder: "5, 60, 600",
        required: false,
      }, t("form.scheduleHint")),
      this.text("max_age_s", t("form.maxAge"), values.max_age_s, number({ min: "1", max: "604800" })),
      this.text("rate_limit", t("form.rateLimit"), values.rate_limit, number({ min: "0.01", max: "1000", step: "any" })),
    );
  }

  optionFields(values) {
    return h(
      "fieldset",
      { class: "checkboxes" },
      h("legend", {}, t("form.options")),
      this.checkbox("enabled", t("form.enabled"), values.enabled ?? true),
      this.checkbox("include_subaccounts", t("form.subaccounts"), values.include_subaccounts),
      this.checkbox("include_internal_legs", t("form.internalLegs"), values.include_internal_legs ?? true),
      this.checkbox("ordered", t("form.ordered"), values.ordered),
    );
  }

  signatureField() {
    const hint = h("small", {}, "");
    const kinds = { [NOT_SIGNED]: t("form.notSigned"), ...SIGNATURES };
    const element = this.select("signature", t("form.signature"), kinds);
    const input = this.input("signature");
    input.addEventListener("change", () => setText(hint, SIGNATURE_HINTS[input.value]));
    element.append(hint);
    return h("div", { class: "fields" }, element);
  }

  /** The properties that ask for a secret; null for none. */
  signature() {
    const kind = this.fields.signature?.input.value ?? NOT_SIGNED;
    return kind === NOT_SIGNED ? null : secretRequest(kind);
  }

  eventSelect(value) {
    const isListed = this.catalogue.some(({ id }) => id === value) || !value;
    const options = Object.fromEntries([
      ...(isListed ? [] : [[value, t("form.olderName", { name: value })]]),
      ...this.catalogue.map(({ id, name }) => [id, name]),
    ]);
    const element = this.select("hook", t("hook.event"), options, value ?? DEFAULT_EVENT);
    this.input("hook").addEventListener("change", () => this.updateModifiers({}));
    return element;
  }

  // -- modifiers of the selected event

  eventType(hookId) {
    return this.catalogue.find(({ id }) => id === hookId);
  }

  modifierNames(hookId) {
    return Object.keys(this.eventType(hookId)?.modifiers ?? {});
  }

  updateModifiers(values) {
    this.forget("custom_data.");
    const event = this.value("hook");
    const type = this.eventType(event);
    setText(this.eventDescription, type?.description ?? "");
    const selects = Object.entries(type?.modifiers ?? {}).map(([name, modifier]) => {
      const label = modifier.description ?? capitalize(name);
      const value = values[name] ?? modifier.default ?? "all";
      return this.select(`custom_data.${name}`, label, modifierOptions(modifier), value);
    });
    this.modifierSelects.replaceChildren(...selects);
    this.sample.show(event);
  }

  // -- saving

  document() {
    const value = (name) => this.value(name);
    const document = { ...this.hook };
    for (const name of ["name", "uri", "hook", "http_verb", "format"]) document[name] = value(name);
    for (const name of ["enabled", "include_subaccounts", "include_internal_legs", "ordered"]) {
      document[name] = this.input(name).checked;
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
    const filters = this.filters.entries().map(([key, text]) => [key, this.filterValue(key, text)]);
    setOrDelete(document, "modifiers", nullIfEmpty(Object.fromEntries(filters)));
    return document;
  }

  filterValue(key, text) {
    try {
      return parseFilterValue(text, this.hook?.modifiers?.[key]);
    } catch (error) {
      throw Object.assign(error, { fields: { [`modifiers.${key}`]: t("form.filterJson") } });
    }
  }

  onSubmit(event) {
    event.preventDefault();
    runOnce(this.submit, () => this.send());
  }

  async send() {
    const errors = this.inputErrors();
    this.showErrors(errors);
    if (Object.keys(errors).length) return;
    try {
      await this.save(this.document(), this.signature());
    } catch (error) {
      this.showErrors(error.fields ?? {}, error.message);
    }
  }

  /** What the server would not see, or explains less: text for numbers, values without a name. */
  inputErrors() {
    const bad = NUMBERS.filter((name) => this.input(name).validity.badInput);
    return Object.assign(
      Object.fromEntries(bad.map((name) => [name, t("form.number")])),
      urlError(this.value("uri")),
      listErrors(this.value("success_codes"), this.value("retry_schedule_s")),
      ...Object.entries(this.editors()).map(([name, editor]) => entryErrors(name, editor.entries())),
    );
  }

  /** Show errors by field name beside their fields, or else `message`; errors of other fields below the form. */
  showErrors(fieldErrors, message = "") {
    const names = Object.keys(fieldErrors);
    // A field in a closed part of the form could not be seen or focused.
    const more = this.element.querySelector("details.more");
    const isMore = (name) => {
      const { input } = this.fields[name] ?? this.fields[name.split(".")[0]] ?? {};
      return input && more.contains(input);
    };
    if (names.some(isMore)) more.open = true;
    const others = super.showErrors(fieldErrors);
    setText(this.error, names.length ? [t("form.correct"), ...others].join(" ") : message);
  }
}

/** Whether any of the fields that are hidden at first has a value. */
function hasAdvanced(values) {
  const names = ["success_codes", "timeout_ms", "retry_schedule_s", "max_age_s", "rate_limit", "headers", "custom_data"];
  return names.some((name) => values[name] !== undefined);
}

const capitalize = (word) => word.charAt(0).toUpperCase() + word.slice(1);
