/** Dialogs about the secret with which the requests of a webhook are signed. */

import { openDialog } from "../dialogs.js";
import { h, runOnce, setAttribute, setText, uniqueId } from "../dom.js";
import { t } from "../strings.js";
import { OVERLAPS, SIGNATURES, SIGNATURE_HINTS, revealedKey, secretRequest } from "../signing.js";
import { copyField } from "./copy-field.js";

/** Show what `document`, a response of the server, reveals of a new secret. It reveals a secret only once. */
export function showNewSecret(document) {
  const key = revealedKey(document);
  if (key === null) return;
  const field = copyField(key.label, key.value);
  openDialog(key.title, [h("p", {}, key.hint), field], { persistent: true });
  field.select();
}

/**
 * Ask which secret a webhook gets. `save(data)` sends the choice, and may throw `RestError`, which is shown.
 * Resolves to the result of `save`, or to null when the dialog was closed.
 */
export function openSecretForm(hook, save) {
  return new Promise((resolve) => {
    let saved = null;
    const form = new SecretForm(hook, async (data) => {
      saved = await save(data);
      dialog.close();
    });
    const title = t(hook.signed ? "signing.renew" : "signing.begin");
    const dialog = openDialog(title, form.element, { persistent: true, onClose: () => resolve(saved) });
    form.focus();
  });
}

class SecretForm {
  constructor(hook, save) {
    this.save = save;
    const current = Object.hasOwn(SIGNATURES, hook.signature) ? hook.signature : Object.keys(SIGNATURES)[0];
    const group = uniqueId("signature");
    this.kinds = Object.entries(SIGNATURES).map(([kind, label]) => {
      const hint = h("small", { id: uniqueId("hint") }, SIGNATURE_HINTS[kind]);
      const attributes = { type: "radio", name: group, value: kind, "aria-describedby": hint.id };
      const input = h("input", { ...attributes, checked: kind === current });
      return { kind, input, element: h("div", { class: "choice" }, h("label", {}, input, label), hint) };
    });
    this.error = h("p", { class: "error-text", role: "alert", id: uniqueId("error") });
    this.given = h("input", {
      type: "text",
      id: uniqueId("field"),
      autocomplete: "off",
      spellcheck: "false",
      placeholder: "whsec_… or whsk_…",
      "aria-describedby": this.error.id,
    });
    const overlapOptions = OVERLAPS.map(([seconds, text]) => h("option", { value: String(seconds) }, text));
    this.overlap = hook.signed ? h("select", { id: uniqueId("field") }, overlapOptions) : null;
    this.submit = h("button", { type: "submit", class: "primary" }, t("signing.create"));
    this.element = h(
      "form",
      { class: "hook-form", novalidate: true, onsubmit: (event) => this.onSubmit(event) },
      h(
        "fieldset",
        {},
        h("legend", {}, t("signing.kind")),
        this.kinds.map(({ element }) => element),
      ),
      this.overlap &&
        h(
          "div",
          { class: "field" },
          h("label", { for: this.overlap.id }, t("signing.overlap")),
          this.overlap,
          h("small", {}, t("signing.overlapHint")),
        ),
      h(
        "div",
        { class: "field" },
        h("label", { for: this.given.id }, t("signing.own")),
        this.given,
        h("small", {}, t("signing.ownHint")),
      ),
      this.error,
      h("div", { class: "buttons" }, this.submit),
    );
  }

  focus() {
    this.kinds.find(({ input }) => input.checked).input.focus();
  }

  onSubmit(event) {
    event.preventDefault();
    runOnce(this.submit, () => this.send());
  }

  async send() {
    this.showError(null);
    const { kind } = this.kinds.find(({ input }) => input.checked);
    try {
      await this.save(secretRequest(kind, this.given.value, this.overlap?.value ?? null));
    } catch (error) {
      this.showError(error);
    }
  }

  showError(error) {
    const fields = error?.fields ?? {};
    const messages = Object.values(fields);
    setText(this.error, messages.length ? messages.join(" ") : error?.message);
    setAttribute(this.given, "aria-invalid", Object.hasOwn(fields, "secret") && "true");
    if (Object.hasOwn(fields, "secret")) this.given.focus();
  }
}
