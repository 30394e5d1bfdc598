/** Creating and editing a webhook, with what the catalogue offers. */

import { openDialog } from "../dialogs.js";
import { button, freshId, h, setAttribute, setText } from "../dom.js";
import { sayProblem } from "../saying.js";
import { Pairs } from "./pairs.js";

/** Not in the catalogue, but hooks may name it. */
const ANY = { id: "all", name: "All events", description: "Whatever happens", modifiers: {} };

/** Ask for a webhook: a new one, or changes to `hook` at `revision`. The saved document, or null. */
export async function editHook(console_, hook = null, revision = null) {
  let catalogue;
  try {
    catalogue = await console_.rest.get("webhooks");
  } catch (error) {
    sayProblem(`The catalogue cannot be loaded: ${error.message}`);
    return null;
  }
  if (console_.view === null) return null; // signed out, or at another account meanwhile
  return new Promise((resolve) => {
    let saved = null;
    const form = new HookForm([...catalogue, ANY], hook, async (document, secret) => {
      const data = secret ? { ...document, secret: true } : document;
      const headers = revision ? { "If-Match": `"${revision}"` } : {};
      saved = hook
        ? await console_.rest.send("POST", console_.hooks.path(hook.id), data, headers)
        : await console_.rest.send("PUT", console_.hooks.path(), data);
      dialog.close();
      if (secret && saved.secret) showSecret(saved.secret);
    });
    const dialog = openDialog(hook ? `Edit ${hook.name}` : "New webhook", form.element, {
      wide: true,
      keeps: true,
      onClose: () => resolve(saved),
    });
    form.focus();
  });
}

/** Show a secret, this once. */
export function showSecret(secret) {
  const field = h("input", {
    type: "text",
    readonly: true,
    value: secret,
    "aria-label": "Secret",
    class: "secret",
  });
  openDialog(
    "Keep this secret",
    [h("p", {}, "Receivers verify with it that requests come from here. It is shown only now."), field],
    { keeps: true },
  );
  field.select();
}

class HookForm {
  /** `save(document, secret)` may raise `Refusal`, whose fields are shown. */
  constructor(catalogue, hook, save) {
    this.catalogue = catalogue;
    this.hook = hook;
    this.save = save;
    this.fields = {};
    const known = hook ?? {};
    this.problem = h("p", { class: "problem", role: "alert" });
    this.choices = h("div", { class: "fields" });
    this.described = h("p", { class: "hint" });
    this.custom = new Pairs(
      "Sent along",
      "Every request has these beside its payload.",
      "Key",
      "Value",
      entriesWithout(known.custom_data, this.modifierNames(known.hook)),
    );
    this.filters = new Pairs(
      "Only when the payload has",
      "Where the payload has the key, its value must be this one, or one of these.",
      "Key",
      "Value, or several with commas",
      Object.entries(known.modifiers ?? {}).map(([key, value]) => [key, joined(value)]),
    );
    this.submit = h("button", { type: "submit", class: "primary" }, hook ? "Save" : "Create");
    this.element = h(
      "form",
      { class: "hook-form", novalidate: true, onsubmit: (event) => this.send(event) },
      h(
        "div",
        { class: "fields" },
        this.text("name", "Name", known.name),
        this.text("uri", "Goes to", known.uri, { type: "url", placeholder: "https://example.com/hooks" }),
        this.hookSelect(known.hook),
      ),
      this.described,
      this.choices,
      h(
        "div",
        { class: "fields" },
        this.select("http_verb", "Method", { post: "POST", put: "PUT", get: "GET" }, known.http_verb),
        this.select("format", "Format", { "form-data": "Form", json: "JSON" }, known.format),
        this.select(
          "retries",
          "Quick retries",
          { 0: "0", 1: "1", 2: "2", 3: "3", 4: "4" },
          String(known.retries ?? 2),
        ),
        this.text("group", "Group", known.group, { required: false }),
        this.text("rate_limit", "Most requests a second", known.rate_limit, {
          type: "number",
          min: "0.01",
          max: "1000",
          step: "any",
          required: false,
        }),
      ),
      h(
        "fieldset",
        { class: "checks" },
        h("legend", {}, "Options"),
        this.check("enabled", "Enabled", known.enabled ?? true),
        this.check("include_subaccounts", "Events of sub-accounts too", known.include_subaccounts),
        this.check(
          "include_internal_legs",
          "Legs inside the switch too",
          known.include_internal_legs ?? true,
        ),
        this.check("ordered", "The events of one call strictly in order", known.ordered),
        hook === null && this.check("secret", "Signed: a secret is made, and shown once", false),
      ),
      this.described_(this.custom.element, "custom_data"),
      this.described_(this.filters.element, "modifiers"),
      this.problem,
      h("div", { class: "buttons" }, this.submit),
    );
    this.showChoices(known.custom_data ?? {});
  }

  focus() {
    this.fields.name.input.focus();
  }

  // -- fields

  field(name, label, input) {
    const id = freshId("field");
    const problem = h("small", { class: "problem", id: `${id}-problem` });
    input.id = id;
    setAttribute(input, "aria-describedby", problem.id);
    this.fields[name] = { input, problem };
    return h("div", { class: "field" }, h("label", { for: id }, label), input, problem);
  }

  text(name, label, value, attributes = {}) {
    return this.field(
      name,
      label,
      h("input", { type: "text", autocomplete: "off", required: true, ...attributes, value: value ?? "" }),
    );
  }

  select(name, label, choices, value) {
    // What a hook has, and this page does not know, stays as it is unless somebody chooses something else.
    const offered = !value || Object.hasOwn(choices, value) ? choices : { [value]: value, ...choices };
    return this.field(
      name,
      label,
      h(
        "select",
        {},
        Object.entries(offered).map(([choice, shown]) =>
          h("option", { value: choice, selected: choice === value }, shown),
        ),
      ),
    );
  }

  check(name, label, checked) {
    const input = h("input", { type: "checkbox", checked: Boolean(checked) });
    this.fields[name] = { input, problem: h("small", {}) };
    return h("label", {}, input, label);
  }

  hookSelect(value) {
    const known = this.catalogue.some(({ id }) => id === value) || !value;
    const options = Object.fromEntries([
      ...(known ? [] : [[value, `${value} (older name)`]]),
      ...this.catalogue.map(({ id, name }) => [id, name]),
    ]);
    const element = this.select("hook", "Event", options, value ?? "channel_create");
    this.fields.hook.input.addEventListener("change", () => this.showChoices({}));
    return element;
  }

  described_(element, name) {
    const problem = h("small", { class: "problem" });
    this.fields[name] = { input: element, problem };
    return h("div", {}, element, problem);
  }

  // -- what the chosen event can be narrowed down to

  modifierNames(hookId) {
    return Object.keys(this.catalogue.find(({ id }) => id === hookId)?.modifiers ?? {});
  }

  showChoices(chosen) {
    for (const name of Object.keys(this.fields))
      if (name.startsWith("custom_data.")) delete this.fields[name];
    const type = this.catalogue.find(({ id }) => id === this.fields.hook.input.value);
    setText(this.described, type?.description ?? "");
    const selects = Object.entries(type?.modifiers ?? {}).map(([name, modifier]) =>
      this.select(
        `custom_data.${name}`,
        modifier.description ?? capitalised(name),
        options(modifier),
        chosen[name] ?? modifier.default ?? "all",
      ),
    );
    this.choices.replaceChildren(...selects);
  }

  // -- sending

  document() {
    const value = (name) => this.fields[name].input.value.trim();
    const document = { ...this.hook };
    for (const name of ["name", "uri", "hook", "http_verb", "format"]) document[name] = value(name);
    for (const name of ["enabled", "include_subaccounts", "include_internal_legs", "ordered"])
      document[name] = this.fields[name].input.checked;
    document.retries = Number(value("retries"));
    put(document, "group", value("group"));
    put(document, "rate_limit", value("rate_limit") && Number(value("rate_limit")));
    const chosen = this.modifierNames(document.hook).map((name) => [name, value(`custom_data.${name}`)]);
    put(document, "custom_data", filled({ ...this.custom.value(), ...Object.fromEntries(chosen) }));
    const filters = Object.entries(this.filters.value()).map(([key, text]) => [
      key,
      this.filterValue(key, text),
    ]);
    put(document, "modifiers", filled(Object.fromEntries(filters)));
    return document;
  }

  /** What was not touched stays as it was: a number is no text that looks like one. */
  filterValue(key, text) {
    const before = this.hook?.modifiers?.[key];
    return before !== undefined && joined(before) === text ? before : split(text);
  }

  async send(event) {
    event.preventDefault();
    if (this.fields.rate_limit.input.validity.badInput) {
      this.showProblems("", { rate_limit: "expected a number" });
      return;
    }
    this.submit.disabled = true;
    this.showProblems("", {});
    try {
      await this.save(this.document(), Boolean(this.fields.secret?.input.checked));
    } catch (error) {
      const conflict = error.status === 412 || error.status === 409;
      this.showProblems(
        conflict
          ? "Somebody else has changed this webhook meanwhile, and your changes are not saved. Close this, and edit it again."
          : error.message,
        error.fields ?? {},
      );
    } finally {
      this.submit.disabled = false;
    }
  }

  showProblems(message, problems) {
    const rest = [];
    for (const { input, problem } of Object.values(this.fields)) {
      setText(problem, "");
      setAttribute(input, "aria-invalid", null);
    }
    for (const [name, words] of Object.entries(problems)) {
      const field = this.fields[name] ?? this.fields[name.split(".")[0]];
      if (!field?.problem.className) {
        rest.push(`${name}: ${words}`);
        continue;
      }
      setText(field.problem, words);
      setAttribute(field.input, "aria-invalid", "true");
    }
    setText(
      this.problem,
      Object.keys(problems).length ? ["Please mend what is marked.", ...rest].join(" ") : message,
    );
    this.element.querySelector('input[aria-invalid="true"], select[aria-invalid="true"]')?.focus();
  }
}

function put(document, name, value) {
  if (value) document[name] = value;
  else delete document[name];
}

const filled = (object) => (Object.keys(object).length ? object : null);

const joined = (value) => [value].flat().join(", ");

/** Several values are a list: any of them will do. Numbers stay text, as they are in payloads of calls. */
function split(text) {
  const values = text
    .split(",")
    .map((one) => one.trim())
    .filter(Boolean)
    .map((one) => ({ true: true, false: false })[one] ?? one);
  return values.length === 1 ? values[0] : values;
}

function options({ items }) {
  const entries = Array.isArray(items)
    ? items.map((one) => [one, one === "all" ? "All" : one])
    : Object.entries(items ?? {}).map(([one, { friendly_name: name }]) => [one, name ?? one]);
  return Object.fromEntries([["all", "All"], ...entries]);
}

const capitalised = (word) => word.charAt(0).toUpperCase() + word.slice(1);

const entriesWithout = (data, names) => Object.entries(data ?? {}).filter(([name]) => !names.includes(name));
