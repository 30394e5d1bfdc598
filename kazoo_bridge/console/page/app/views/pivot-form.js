/** The form of a pivot point, a new one or a present one. */

import { openDialog } from "../dialogs.js";
import { saveChanges } from "../document-saving.js";
import { button, h, setText } from "../dom.js";
import { t } from "../strings.js";
import { setOrDelete } from "../webhook-document.js";
import { FormFields } from "./form-fields.js";

const DEFAULT_TIMEOUT_MS = 3000;

const STRATEGIES = Object.fromEntries(["first", "rotate"].map((name) => [name, t(`pivot.strategy.${name}`)]));

/**
 * Open the form; `base` is `{document, revision}` of the pivot point that is edited, null for a new one. Resolves
 * to the saved document; null when the form was closed without one.
 */
export function openPivotForm(rest, path, base = null) {
  return new Promise((resolve) => {
    let saved = null;
    const save = async (document) => {
      saved = base
        ? await saveChanges(rest, path(base.document.id), base, document)
        : await rest.send("PUT", path(), document);
      dialog.close();
    };
    const form = new PivotForm(base?.document ?? null, save, () => dialog.close());
    const title = base ? t("form.edit", { name: base.document.name }) : t("pivot.new");
    const options = { wide: true, persistent: true, isChanged: () => form.isChanged(), onClose: () => resolve(saved) };
    const dialog = openDialog(title, form.element, options);
    form.input("name").focus();
  });
}

class PivotForm extends FormFields {
  /** `point` is the document of a pivot point, or null; `save(document)` may throw `RestError`. */
  constructor(point, save, close) {
    super();
    Object.assign(this, { point, save });
    const values = point ?? { timeout_ms: DEFAULT_TIMEOUT_MS, strategy: "first", enabled: true };
    const fallback = values.fallback ? JSON.stringify(values.fallback, null, 2) : "";
    const area = { rows: "6", spellcheck: "false", placeholder: '{"module": "callflow", "data": {"id": "…"}}', value: fallback };
    this.error = h("p", { class: "error-text", role: "alert" });
    this.submit = h("button", { type: "submit", class: "primary" }, t(point ? "common.save" : "common.create"));
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
        this.text("name", t("pivot.name"), values.name, { maxlength: "64", placeholder: "front-desk" }, t("pivot.nameHint")),
        this.text("timeout_ms", t("pivot.timeoutMs"), values.timeout_ms, { type: "number", min: "100", max: "10000" }),
        this.select("strategy", t("pivot.strategy"), STRATEGIES, values.strategy),
      ),
      h("div", { class: "checkboxes" }, this.checkbox("enabled", t("pivot.on"), values.enabled)),
      this.field("fallback", t("pivot.fallback"), h("textarea", area), t("pivot.fallbackHint")),
      this.error,
      h("div", { class: "buttons" }, button(t("common.cancel"), close), this.submit),
    );
    this.initialFallback = fallback;
    this.initial = this.content();
  }

  /** Whether the user has changed anything since the form was opened. */
  isChanged() {
    return this.content() !== this.initial;
  }

  content() {
    const values = ["name", "timeout_ms", "strategy", "fallback"].map((name) => this.input(name).value);
    return JSON.stringify([...values, this.input("enabled").checked]);
  }

  /** Return the document that the form describes. Throws an error with `fields` for a fallback that is not JSON. */
  document() {
    const document = {
      ...this.point,
      name: this.value("name"),
      timeout_ms: Number(this.value("timeout_ms")),
      strategy: this.value("strategy"),
      enabled: this.input("enabled").checked,
    };
    const text = this.value("fallback");
    // As it is, also if another program has written it in another form.
    if (text === this.initialFallback) return document;
    try {
      setOrDelete(document, "fallback", text && JSON.parse(text));
    } catch (error) {
      throw Object.assign(error, { fields: { fallback: t("pivot.notJson", { reason: error.message }) } });
    }
    return document;
  }

  async onSubmit(event) {
    event.preventDefault();
    if (this.submit.disabled) return;
    this.submit.disabled = true;
    setText(this.error, "");
    try {
      await this.save(this.document());
    } catch (error) {
      const fields = error.fields ?? {};
      const others = this.showErrors(fields);
      setText(this.error, Object.keys(fields).length ? others.join(" ") : error.message);
    } finally {
      this.submit.disabled = false;
    }
  }
}
