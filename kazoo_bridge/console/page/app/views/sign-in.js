/** The sign-in page, for a token or an API key. */

import { h, setText } from "../dom.js";
import { signInWithApiKey, signInWithToken } from "../session.js";

export class SignIn {
  /**
   * `onSession` is called after a successful sign-in, with the session and, after one with an API key, a
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
    this.label = h("label", { for: "secret" }, "Token");
    this.error = h("p", { id: "sign-in-error", class: "error-text", role: "alert" });
    this.submit = h("button", { type: "submit", class: "primary" }, "Sign in");
    this.form = h(
      "form",
      { class: "card sign-in", onsubmit: (event) => this.signIn(event) },
      h("h1", {}, "Operator console"),
      reason && h("p", { class: "notice", role: "alert" }, reason),
      h(
        "p",
        { class: "hint" },
        "Live calls, events, webhooks and sockets of your account and its descendants.",
      ),
      h(
        "fieldset",
        { class: "radio-group" },
        h("legend", {}, "Sign in with"),
        this.radio("token", "Token", true),
        this.radio("api-key", "API key", false),
      ),
      this.label,
      this.secret,
      this.error,
      this.submit,
    );
    this.element = h("main", { class: "sign-in-page" }, this.form);
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
      this.onSession(await signIn(), isToken ? null : signIn);
    } catch (error) {
      const message =
        error.status === 401
          ? `Invalid ${isToken ? "token" : "API key"}: mistyped, expired or revoked.`
          : `Sign-in failed: ${error.message}.`;
      setText(this.error, message);
      this.secret.focus();
    } finally {
      this.submit.disabled = false;
    }
  }

  dispose() {}
}
