/** Signing in with a token or an API key. */

import { h, setText } from "../dom.js";
import { withApiKey, withToken } from "../session.js";

export class SignIn {
  /** `onSession` gets the session of whoever has signed in. */
  constructor(onSession) {
    this.onSession = onSession;
    this.secret = h("input", {
      id: "secret",
      type: "password",
      required: true,
      autocomplete: "off",
      spellcheck: "false",
      autocapitalize: "none",
      "aria-describedby": "sign-in-problem",
    });
    this.label = h("label", { for: "secret" }, "Token");
    this.problem = h("p", { id: "sign-in-problem", class: "problem", role: "alert" });
    this.submit = h("button", { type: "submit", class: "primary" }, "Sign in");
    this.form = h(
      "form",
      { class: "card sign-in", onsubmit: (event) => this.signIn(event) },
      h("h1", {}, "Operator console"),
      h(
        "p",
        { class: "hint" },
        "Live calls, events, webhooks and sockets of one account and those below it.",
      ),
      h(
        "fieldset",
        { class: "choice" },
        h("legend", {}, "Sign in with"),
        this.choice("token", "Token", true),
        this.choice("api-key", "API key", false),
      ),
      this.label,
      this.secret,
      this.problem,
      this.submit,
    );
    this.element = h("main", { class: "sign-in-page" }, this.form);
  }

  choice(value, label, checked) {
    const pick = () => setText(this.label, label);
    return h("label", {}, h("input", { type: "radio", name: "kind", value, checked, onchange: pick }), label);
  }

  focus() {
    this.secret.focus();
  }

  async signIn(event) {
    event.preventDefault();
    const enter = new FormData(this.form).get("kind") === "token" ? withToken : withApiKey;
    setText(this.problem, "");
    this.submit.disabled = true;
    try {
      this.onSession(await enter(this.secret.value.trim()));
    } catch (error) {
      const wrong =
        error.status === 401
          ? `This ${this.label.textContent === "Token" ? "token" : "API key"} is not good: it is mistyped, has expired, or was revoked.`
          : `Signing in did not work: ${error.message}.`;
      setText(this.problem, wrong);
      this.secret.focus();
    } finally {
      this.submit.disabled = false;
    }
  }

  dispose() {}
}
