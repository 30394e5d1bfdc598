/** One webhook: its settings and health, its attempts and deliveries, and its actions. */

import { formatDateTime } from "../clock.js";
import { confirmDialog, openDialog } from "../dialogs.js";
import { button, h, setText } from "../dom.js";
import { notify, notifyError, withErrorToast } from "../toasts.js";
import { AttemptList, attemptDetails } from "./attempt-list.js";
import { DeliveryList } from "./delivery-list.js";
import { Tabs } from "./tabs.js";
import { openHookForm, showSecret } from "./webhook-form.js";
import { healthText, showState } from "./webhooks.js";

export class WebhookDetailView {
  constructor(app, hookId) {
    this.app = app;
    this.rest = app.rest;
    this.path = (...segments) => app.webhooks.path(hookId, ...segments);
    this.title = h("h1", {}, "Webhook");
    this.properties = h("dl", { class: "properties" });
    this.enable = button("Disable", () => this.toggleEnabled());
    this.actions = h(
      "div",
      { class: "buttons start" },
      button("Send a test", (event) => this.sendTest(event.target), { class: "primary" }),
      button("Edit", () => this.edit()),
      this.enable,
      button("New secret", () => this.createSecret()),
      button("Delete", () => this.remove(), { class: "danger" }),
    );
    this.state = h("span", {});
    this.stateDetail = h("span", {});
    const enable = async () => {
      await this.setEnabled(true);
      await this.load();
    };
    this.deliveryLists = ["pending", "dead"].map(
      (status) => new DeliveryList(this.rest, this.path, status, enable),
    );
    const [pending, dead] = this.deliveryLists;
    const lists = [
      ["Attempts", new AttemptList(this.rest, this.path("attempts"))],
      ["Pending", pending],
      ["Dead letters", dead],
    ];
    this.tabs = new Tabs(
      "Deliveries",
      lists.map(([name, list]) => [name, list.element, () => list.load()]),
    );
    this.element = h(
      "div",
      {},
      h("p", {}, h("a", { href: "#/webhooks" }, "← All webhooks")),
      this.title,
      this.properties,
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
    for (const list of this.deliveryLists) list.showHook(hook);
    if (previousHealth && JSON.stringify(previousHealth) !== JSON.stringify(health)) this.tabs.reload();
    // Replacing unchanged elements would drop the user's text selection.
    const shown = JSON.stringify(hook);
    if (this.shown === shown) return;
    this.shown = shown;
    const properties = [
      ["State", [this.state, " ", this.stateDetail]],
      ["Event", h("code", {}, [hook.hook, ...modifierValues(hook)].join(" · "))],
      ["URL", h("code", {}, `${(hook.http_verb ?? "post").toUpperCase()} ${hook.uri}`)],
      ["Health", healthText(health)],
      ["Last success", formatDateTime(health.last_success)],
      ["Last failure", formatDateTime(health.last_failure)],
      ["Recent failures", String(health.failures_in_window)],
      ["Pending", String(health.deliveries_waiting)],
      ["Signed", hook.signed ? "yes" : "no"],
    ];
    this.properties.replaceChildren(
      ...properties.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]),
    );
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
    const detail = this.hook.signed
      ? "The current secret stays valid for one more day."
      : "Requests will be signed from now on.";
    if (!(await confirmDialog("Create a new secret?", "Create secret", detail))) return;
    await withErrorToast("Creating the secret failed", async () => {
      const { secret } = await this.rest.send("POST", this.path("secret"));
      showSecret(secret);
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

function modifierValues(hook) {
  return ["type", "action"].map((name) => hook.custom_data?.[name]).filter(Boolean);
}
