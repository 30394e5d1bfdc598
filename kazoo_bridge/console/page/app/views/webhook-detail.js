/** One webhook: what it is, how it is doing, what was sent, and what can be done about it. */

import { moment } from "../clock.js";
import { confirmed, openDialog } from "../dialogs.js";
import { button, h, setText } from "../dom.js";
import { say, sayProblem, trying } from "../saying.js";
import { AttemptList, attemptSheet } from "./attempts.js";
import { DeliveryList } from "./deliveries.js";
import { Tabs } from "./tabs.js";
import { editHook, showSecret } from "./webhook-form.js";
import { healthWords, showState } from "./webhooks.js";

export class WebhookView {
  constructor(console_, hookId) {
    this.console = console_;
    this.rest = console_.rest;
    this.path = (...words) => console_.hooks.path(hookId, ...words);
    this.title = h("h1", {}, "Webhook");
    this.facts = h("dl", { class: "facts" });
    this.enable = button("Disable", () => this.toggle());
    this.actions = h(
      "div",
      { class: "buttons start" },
      button("Send a test", (event) => this.test(event.target), { class: "primary" }),
      button("Edit", () => this.edit()),
      this.enable,
      button("New secret", () => this.newSecret()),
      button("Delete", () => this.remove(), { class: "danger" }),
    );
    this.lists = [
      ["Attempts", new AttemptList(this.rest, this.path("attempts"))],
      ["Waiting", new DeliveryList(this.rest, this.path, "pending")],
      ["Given up", new DeliveryList(this.rest, this.path, "dead")],
    ];
    this.tabs = new Tabs(
      "What was sent",
      this.lists.map(([name, list]) => [name, list.element, () => list.load()]),
    );
    this.element = h(
      "div",
      {},
      h("p", {}, h("a", { href: "#/webhooks" }, "← All webhooks")),
      this.title,
      this.facts,
      this.actions,
      this.tabs.element,
    );
    this.changed = () => this.load();
    console_.hooks.addEventListener("change", this.changed);
    this.load();
  }

  dispose() {
    this.console.hooks.removeEventListener("change", this.changed);
    this.gone = true;
  }

  /** The hook and its health; lists are loaded when they are looked at, or asked for. */
  async load() {
    let envelope;
    try {
      envelope = await this.rest.ask("GET", this.path());
    } catch (error) {
      if (this.gone) return;
      if (error.status === 404) this.missing();
      else if (!this.hook) setText(this.title, `The webhook cannot be shown: ${error.message}`);
      return;
    }
    if (!this.gone) this.show(envelope.data, envelope.revision);
  }

  missing() {
    setText(this.title, "There is no such webhook: it has been deleted, or is another account's");
    this.facts.replaceChildren();
    this.actions.hidden = true;
    this.tabs.element.hidden = true;
  }

  show(hook, revision) {
    const health = hook.health;
    const seen = this.hook?.health;
    this.hook = hook;
    this.revision = revision;
    setText(this.title, hook.name);
    setText(this.enable, hook.enabled === false ? "Enable" : "Disable");
    if (seen && JSON.stringify(seen) !== JSON.stringify(health)) this.tabs.reload();
    // Only what is different is shown anew, so that a text which somebody is copying stays selected.
    if (this.shown === JSON.stringify(hook)) return;
    this.shown = JSON.stringify(hook);
    const state = h("span", {});
    showState(state, hook);
    const facts = [
      ["State", [state, hook.disable_reason ? ` ${hook.disable_reason}` : ""]],
      ["Event", h("code", {}, [hook.hook, ...choices(hook)].join(" · "))],
      ["Goes to", h("code", {}, `${(hook.http_verb ?? "post").toUpperCase()} ${hook.uri}`)],
      ["Health", healthWords(health)],
      ["Last success", moment(health.last_success)],
      ["Last failure", moment(health.last_failure)],
      ["Failures just now", String(health.failures_in_window)],
      ["Waiting", String(health.deliveries_waiting)],
      ["Signed", hook.signed ? "yes" : "no"],
    ];
    this.facts.replaceChildren(...facts.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
  }

  // -- what can be done

  async test(pressed) {
    pressed.disabled = true;
    await trying("The test could not be sent", async () => {
      const attempt = await this.rest.send("POST", this.path("test"));
      if (this.gone) return;
      openDialog(
        attempt.result === "success" ? "The test succeeded" : "The test failed",
        attemptSheet(attempt),
        { wide: true },
      );
      await this.reload();
    });
    pressed.disabled = false;
  }

  async edit() {
    const saved = await editHook(this.console, this.hook, this.revision);
    if (saved !== null) await this.reload();
  }

  toggle() {
    const enabled = this.hook.enabled === false;
    return trying(enabled ? "Enabling" : "Disabling", async () => {
      await this.rest.send("PATCH", this.path(), { enabled });
      say(enabled ? "The webhook is enabled" : "The webhook is disabled");
      await this.reload();
    });
  }

  async newSecret() {
    const detail = this.hook.signed
      ? "The secret in use stays valid for a day beside the new one."
      : "From now on its requests are signed.";
    if (!(await confirmed("Make a new secret?", "Make it", detail))) return;
    await trying("No secret was made", async () => {
      const { secret } = await this.rest.send("POST", this.path("secret"));
      showSecret(secret);
      await this.reload();
    });
  }

  async remove() {
    if (
      !(await confirmed(
        `Delete ${this.hook.name}?`,
        "Delete",
        "Its attempts and the deliveries that wait go with it.",
      ))
    )
      return;
    await trying("Deleting", async () => {
      await this.rest.send("DELETE", this.path());
      say(`${this.hook.name} is deleted`);
      await this.console.hooks.refresh();
      if (!this.gone) location.hash = "#/webhooks";
    });
  }

  async reload() {
    try {
      await this.console.hooks.refresh();
      this.tabs.reload();
    } catch (error) {
      sayProblem(error.message);
    }
  }
}

const choices = (hook) => ["type", "action"].map((name) => hook.custom_data?.[name]).filter(Boolean);
