/** The account's own limits of webhooks: shown to the account, changed by the accounts above it. */

import { button, h, setText } from "../dom.js";
import { accountPath } from "../rest.js";
import { t } from "../strings.js";
import { notify } from "../toasts.js";
import { parseNumber } from "../webhook-document.js";
import { FormFields } from "./form-fields.js";

const LIMITS = ["attempt_failure_count", "attempt_failure_expiry_ms"];

export class LimitsForm extends FormFields {
  constructor(app) {
    super();
    this.rest = app.rest;
    this.path = accountPath(app.account.id, "configs", "webhooks");
    // The server refuses an account's change of its own limits.
    this.isOwn = app.account.id === app.session.principal.id;
    const attributes = {
      type: "number",
      min: "1",
      required: false,
      readonly: this.isOwn,
      placeholder: t("account.limitDefault"),
    };
    this.error = h("p", { class: "error-text", role: "alert" });
    this.element = h(
      "form",
      {
        class: "hook-form",
        novalidate: true,
        onsubmit: (event) => event.preventDefault(),
        oninput: ({ target }) => this.unmark(target),
      },
      h("p", { class: "hint" }, t("account.limitsHint")),
      h("div", { class: "fields" }, LIMITS.map((name) => this.text(name, t(`account.limit.${name}`), "", attributes))),
      this.error,
      !this.isOwn && h("div", { class: "buttons" }, button(t("common.save"), () => this.save(), { class: "primary" })),
    );
  }

  async load() {
    try {
      const limits = await this.rest.get(this.path);
      for (const name of LIMITS) {
        // What the user is typing is not replaced.
        if (document.activeElement !== this.input(name)) this.input(name).value = limits[name] ?? "";
      }
    } catch (error) {
      setText(this.error, t("account.unavailable", { reason: error.message }));
    }
  }

  async save() {
    const limits = Object.fromEntries(LIMITS.map((name) => [name, parseNumber(this.value(name))]));
    const given = Object.entries(limits).filter(([, value]) => value !== "");
    setText(this.error, "");
    try {
      await this.rest.send("POST", this.path, Object.fromEntries(given));
      this.showErrors({});
      notify(t("account.limitsSaved"));
    } catch (error) {
      const fields = error.fields ?? {};
      const others = this.showErrors(fields);
      setText(this.error, Object.keys(fields).length ? others.join(" ") : error.message);
    }
  }
}
