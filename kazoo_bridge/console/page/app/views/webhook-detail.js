/** One webhook: its settings and health, its attempts and deliveries, and its actions. */

import { DeliverySender } from "../delivery-sender.js";
import { confirmDialog, openDialog } from "../dialogs.js";
import { button, h, setText } from "../dom.js";
import { relativeTime } from "../relative-time.js";
import { signatureText } from "../signing.js";
import { notify, notifyError, withErrorToast } from "../toasts.js";
import { optionTexts } from "../webhook-document.js";
import { AttemptList, attemptDetails } from "./attempt-list.js";
import { copyField } from "./copy-field.js";
import { DeliveryList } from "./delivery-list.js";
import { openSecretForm, showNewSecret } from "./secret-dialog.js";
import { Tabs } from "./tabs.js";
import { openHookForm } from "./webhook-form.js";
import { healthText, showState } from "./webhooks.js";

export class WebhookDetailView {
  constructor(app, hookId) {
    this.app = app;
    this.rest = app.rest;
    this.path = (...segments) => app.webhooks.path(hookId, ...segments);
    this.title = h("h1", {}, "Webhook");
    this.properties = h("dl", { class: "properties" });
    this.publicKey = h("div", {});
    this.enable = button("Disable", () => this.toggleEnabled());
    this.newSecret = button("New secret", () => this.createSecret());
    this.endSigning = button("Stop signing", () => this.stopSigning(), { hidden: true });
    this.actions = h(
      "div",
      { class: "buttons start" },
      button("Send a test", (event) => this.sendTest(event.target), { class: "primary" }),
      button("Edit", () => this.edit()),
      this.enable,
      this.newSecret,
      this.endSigning,
      button("Delete", () => this.remove(), { class: "danger" }),
    );
    this.state = h("span", {});
    this.stateDetail = h("span", {});
    const enable = async () => {
      await this.setEnabled(true);
      await this.load();
    };
    this.sender = new DeliverySender(this.rest, this.path, enable);
    this.lists = {
      Attempts: new AttemptList(this.rest, this.path, this.sender),
      Pending: new DeliveryList(this.rest, this.path, "pending", this.sender),
      "Dead letters": new DeliveryList(this.rest, this.path, "dead", this.sender),
    };
    this.tabs = new Tabs(
      "Deliveries",
      Object.entries(this.lists).map(([name, list]) => [name, list.element, () => list.load()]),
    );
    this.element = h(
      "div",
      {},
      h("p", {}, h("a", { href: "#/webhooks" }, "← All webhooks")),
      this.title,
      this.properties,
      this.publicKey,
      this.actions,
      this.tabs.element,
    );
    this.onChange = () => this.load();
    app.webhooks.addEventListener("change", this.onChange);
    this.load();
  }

  dispose() {
    this.app.webhooks.removeEventListener("change", this.onChange);
    this.disposed = true;
  }

  /** The time until the next probe of a suspended webhook passes. */
  tick() {
    if (this.hook) showState(this.state, this.stateDetail, this.hook);
  }

  /** Load the webhook with its health. Its lists load when their tab is selected. */
  async load() {
    let envelope;
    try {
      envelope = await this.rest.request("GET", this.path());
    } catch (error) {
      if (this.disposed) return;
      if (error.status === 404) this.showNotFound();
      else if (!this.hook) setText(this.title, `Cannot load the webhook: ${error.message}`);
      return;
    }
    if (!this.disposed) this.show(envelope.data, envelope.revision);
  }

  showNotFound() {
    setText(this.title, "Webhook not found: it was deleted, or belongs to another account");
    this.properties.replaceChildren();
    this.publicKey.replaceChildren();
    this.actions.hidden = true;
    this.tabs.element.hidden = true;
  }

  show(hook, revision) {
    const { health } = hook;
    const previousHealth = this.hook?.health;
    this.hook = hook;
    this.revision = revision;
    setText(this.title, hook.name);
    setText(this.enable, hook.enabled === false ? "Enable" : "Disable");
    this.tick();
    this.sender.isDisabled = hook.enabled === false;
    for (const list of Object.values(this.lists)) list.showHook(hook);
    setText(this.newSecret, hook.signed ? "New secret" : "Sign requests");
    this.endSigning.hidden = !hook.signed;
    this.showPublicKey(hook.public_key);
    if (previousHealth && JSON.stringify(previousHealth) !== JSON.stringify(health)) this.tabs.reload();
    // Replacing unchanged elements would drop the user's text selection.
    const shown = JSON.stringify(hook);
    if (this.shown === shown) return;
    this.shown = shown;
    const properties = [
      ["State", [this.state, " ", this.stateDetail]],
      ["Event", h("code", {}, [hook.hook, ...modifierValues(hook)].join(" · "))],
      ["URL", h("code", {}, `${(hook.http_verb ?? "post").toUpperCase()} ${hook.uri}`)],
      ["Attempts", `${healthText(health)} (tests included)`],
      ["Last success", relativeTime(health.last_success)],
      ["Last failure", relativeTime(health.last_failure)],
      ["Recent failures", recentFailuresText(health.failures_in_window)],
      ["Pending", String(health.deliveries_waiting)],
      ...optionTexts(hook),
      ["Signed", signatureText(hook)],
    ];
    this.properties.replaceChildren(
      ...properties.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]),
    );
  }

  showPublicKey(key = "") {
    if (this.shownKey === key) return;
    this.shownKey = key;
    const explanation = "Public key, with which the receiver verifies requests";
    const content = key ? [h("p", {}, explanation), copyField("Public key", key)] : [];
    this.publicKey.replaceChildren(...content);
  }

  // -- actions

  async sendTest(testButton) {
    testButton.disabled = true;
    await withErrorToast("Sending the test failed", async () => {
      const attempt = await this.rest.send("POST", this.path("test"));
      if (this.disposed) return;
      const title = attempt.result === "success" ? "The test succeeded" : "The test failed";
      openDialog(title, attemptDetails(attempt), { wide: true });
      await this.reload();
    });
    testButton.disabled = false;
  }

  async edit() {
    const saved = await openHookForm(this.app, this.hook, this.revision);
    if (saved !== null) await this.reload();
  }

  toggleEnabled() {
    const enabled = this.hook.enabled === false;
    return withErrorToast(enabled ? "Enabling failed" : "Disabling failed", async () => {
      await this.setEnabled(enabled);
      notify(enabled ? "Webhook enabled" : "Webhook disabled");
      await this.reload();
    });
  }

  setEnabled(enabled) {
    return this.rest.send("PATCH", this.path(), { enabled });
  }

  async createSecret() {
    const save = (data) => this.rest.send("POST", this.path("secret"), data);
    const created = await openSecretForm(this.hook, save);
    if (created === null) return;
    showNewSecret(created);
    await this.reload();
  }

  async stopSigning() {
    const detail = "Requests carry no signature any more, and receivers that verify it refuse them.";
    if (!(await confirmDialog("Stop signing the requests?", "Stop signing", detail))) return;
    await withErrorToast("Signing was not stopped", async () => {
      await this.rest.send("DELETE", this.path("secret"));
      notify("Requests are no longer signed");
      // The button is about to disappear.
      this.newSecret.focus();
      await this.reload();
    });
  }

  async remove() {
    const detail = "Its attempts and its pending deliveries are deleted as well.";
    if (!(await confirmDialog(`Delete ${this.hook.name}?`, "Delete", detail))) return;
    await withErrorToast("Deleting failed", async () => {
      await this.rest.send("DELETE", this.path());
      notify(`${this.hook.name} deleted`);
      await this.app.webhooks.refresh();
      if (!this.disposed) location.hash = "#/webhooks";
    });
  }

  async reload() {
    try {
      await this.app.webhooks.refresh();
      this.tabs.reload();
    } catch (error) {
      notifyError(error.message);
    }
  }
}

/** These disable the webhook, so they are counted in another way than attempts. */
function recentFailuresText(count) {
  return `${count} ${count === 1 ? "event" : "events"} (repetitions and tests do not count)`;
}

function modifierValues(hook) {
  return ["type", "action"].map((name) => hook.custom_data?.[name]).filter(Boolean);
}
