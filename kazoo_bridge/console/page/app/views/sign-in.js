/** The sign-in page, for a token or an API key. */

import { h, setText } from "../dom.js";
import { icon } from "../icons.js";
import { signInWithApiKey, signInWithToken } from "../session.js";
import { t } from "../strings.js";

const COMMANDS = "kazoo-bridge token create --account ID\nkazoo-bridge api-key create --account ID";

/** Icon and keys of the texts that say what the console is for. */
const FEATURES = [
  ["phone-call", "signIn.calls"],
  ["webhook", "signIn.webhooks"],
  ["activity", "signIn.events"],
];

export class SignIn {
  /**
   * `onSession` is called and awaited after a successful sign-in, with the session and, after one with an API key, a
   * function that signs in again. `reason` says why the user was signed out.
   */
  constructor(onSession, reason = "") {
    this.onSession = onSession;
    this.secret = h("input", {
      id: "secret",
      type: "password",
      required: true,
      autocomplete: "off",
      spellcheck: "false",
      autocapitalize: "none",
      "aria-describedby": "sign-in-error",
    });
    this.label = h("label", { for: "secret" }, t("signIn.token"));
    this.error = h("p", { id: "sign-in-error", class: "error-text", role: "alert" });
    this.submit = h("button", { type: "submit", class: "primary" }, t("signIn.submit"));
    this.form = h(
      "form",
      { class: "sign-in", onsubmit: (event) => this.signIn(event) },
      reason && h("p", { class: "notice", role: "alert" }, icon("info"), h("span", {}, reason)),
      h("h2", {}, t("signIn.title")),
      h(
        "fieldset",
        { class: "segmented" },
        h("legend", { class: "visually-hidden" }, t("signIn.with")),
        this.radio("token", t("signIn.token"), true),
        this.radio("api-key", t("signIn.apiKey"), false),
      ),
      h("div", { class: "field" }, this.label, this.secret, this.error),
      this.submit,
      help(),
    );
    this.element = h("main", { class: "sign-in-page" }, h("div", { class: "sign-in-card" }, about(), this.form));
  }

  radio(value, label, checked) {
    const onchange = () => setText(this.label, label);
    return h("label", {}, h("input", { type: "radio", name: "kind", value, checked, onchange }), label);
  }

  focus() {
    this.secret.focus();
  }

  async signIn(event) {
    event.preventDefault();
    const isToken = new FormData(this.form).get("kind") === "token";
    const secret = this.secret.value.trim();
    const signIn = () => (isToken ? signInWithToken(secret) : signInWithApiKey(secret));
    setText(this.error, "");
    this.submit.disabled = true;
    try {
      await this.onSession(await signIn(), isToken ? null : signIn);
    } catch (error) {
      const invalid = isToken ? "signIn.invalidToken" : "signIn.invalidKey";
      setText(this.error, error.status === 401 ? t(invalid) : t("signIn.failed", { reason: error.message }));
      this.secret.focus();
    } finally {
      this.submit.disabled = false;
    }
  }

  dispose() {}
}

function about() {
  const feature = ([name, key]) => h("li", {}, icon(name), h("b", {}, t(key)), h("span", {}, t(`${key}Detail`)));
  return h(
    "section",
    { class: "sign-in-about" },
    h("img", { src: "icon.svg", alt: "", width: "40", height: "40" }),
    h("h1", {}, t("app.name")),
    h("p", { class: "hint" }, t("signIn.about")),
    h("ul", {}, FEATURES.map(feature)),
  );
}

function help() {
  return h(
    "details",
    {},
    h("summary", {}, t("signIn.where")),
    h("p", {}, t("signIn.whereOperator")),
    h("pre", { tabindex: "0" }, COMMANDS),
    h("p", {}, t("signIn.whereKazoo")),
    h("p", { class: "hint" }, t("signIn.stored")),
  );
}
