/** One webhook: its settings and health, its attempts and deliveries, and its actions. */

import { loadCatalogue } from "../catalogue.js";
import { DeliverySender } from "../delivery-sender.js";
import { confirmDialog, openDialog } from "../dialogs.js";
import { button, h, setText } from "../dom.js";
import { icon } from "../icons.js";
import { relativeTime } from "../relative-time.js";
import { signatureText } from "../signing.js";
import { t } from "../strings.js";
import { notify, notifyError, withErrorToast } from "../toasts.js";
import { optionTexts } from "../webhook-document.js";
import { attemptDetails } from "./attempt-details.js";
import { AttemptList } from "./attempt-list.js";
import { copyField } from "./copy-field.js";
import { DeliveryList } from "./delivery-list.js";
import { openReplay } from "./replay-dialog.js";
import { openSecretForm, showNewSecret } from "./secret-dialog.js";
import { healthText, shareBar } from "./share-bar.js";
import { openSnippets } from "./snippet-dialog.js";
import { Tabs } from "./tabs.js";
import { openHookForm } from "./webhook-form.js";
import { showState } from "./webhooks.js";

/** Hooks on these are about several events, by which their attempts can be filtered. */
const GROUPS_OF_EVENTS = ["all", "*"];

export class WebhookDetailView {
  constructor(app, hookId) {
    this.app = app;
    this.rest = app.rest;
    this.path = (...segments) => app.webhooks.path(hookId, ...segments);
    this.title = h("h1", {}, t("hook.title"));
    this.state = h("span", {});
    this.stateDetail = h("small", {});
    this.share = shareBar();
    this.properties = h("dl", { class: "properties" });
    this.publicKey = h("div", {});
    this.header = this.buildHeader();
    this.sender = new DeliverySender(this.rest, this.path, () => this.enable());
    this.attempts = new AttemptList(this.rest, this.path, this.sender);
    this.attempts.tools.append(button([icon("history"), t("replay.span")], () => this.replaySpan()));
    const lists = {
      "hook.attempts": this.attempts,
      "hook.pending": new DeliveryList(this.rest, this.path, "pending", this.sender),
      "hook.dead": new DeliveryList(this.rest, this.path, "dead", this.sender),
    };
    this.lists = Object.values(lists);
    this.tabs = new Tabs(
      t("hook.deliveries"),
      Object.entries(lists).map(([key, list]) => [t(key), list.element, () => list.load()]),
    );
    this.body = h("div", {}, h("section", { class: "card hook-card" }, this.properties, this.publicKey), this.tabs.element);
    this.element = h(
      "div",
      {},
      h("p", {}, h("a", { href: "#/webhooks", class: "back" }, icon("arrow-left"), t("hook.back"))),
      this.header,
      this.body,
    );
    this.onChange = () => this.load();
    app.webhooks.addEventListener("change", this.onChange);
    this.load();
  }

  buildHeader() {
    this.enableButton = button(t("hooks.disable"), () => this.toggleEnabled());
    this.newSecret = button(t("hook.newSecret"), () => this.createSecret());
    this.endSigning = button(t("hook.stopSigning"), () => this.stopSigning(), { hidden: true });
    this.actions = h(
      "div",
      { class: "buttons" },
      button([icon("send"), t("hook.sendTest")], (event) => this.sendTest(event.currentTarget), { class: "primary" }),
      button([icon("pencil"), t("common.edit")], () => this.edit()),
      button([icon("copy-plus"), t("hook.duplicate")], () => this.duplicate()),
      button([icon("code"), t("hook.code")], () => openSnippets(this.rest, this.hook)),
      this.enableButton,
      this.newSecret,
      this.endSigning,
      button([icon("trash-2"), t("common.delete")], () => this.remove(), { class: "danger" }),
    );
    return h("div", { class: "view-header" }, this.title, this.state, this.stateDetail, this.actions);
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
      else if (!this.hook) setText(this.title, t("hook.cannotLoad", { reason: error.message }));
      return;
    }
    if (!this.disposed) this.show(envelope.data, envelope.revision);
  }

  showNotFound() {
    setText(this.title, t("hook.notFound"));
    this.state.hidden = this.stateDetail.hidden = this.actions.hidden = this.body.hidden = true;
  }

  show(hook, revision) {
    const { health } = hook;
    const previousHealth = this.hook?.health;
    if (hook.hook !== this.hook?.hook) this.offerEvents(hook);
    this.hook = hook;
    this.revision = revision;
    setText(this.title, hook.name);
    setText(this.enableButton, t(hook.enabled === false ? "hooks.enable" : "hooks.disable"));
    this.tick();
    this.sender.isDisabled = hook.enabled === false;
    for (const list of this.lists) list.showHook(hook);
    setText(this.newSecret, t(hook.signed ? "hook.newSecret" : "hook.sign"));
    this.endSigning.hidden = !hook.signed;
    this.showPublicKey(hook.public_key);
    if (previousHealth && JSON.stringify(previousHealth) !== JSON.stringify(health)) this.tabs.reload();
    // Replacing unchanged elements would drop the user's text selection.
    const shown = JSON.stringify(hook);
    if (this.shown === shown) return;
    this.shown = shown;
    this.share.update(health);
    const properties = [
      ["hook.event", h("code", {}, [hook.hook, ...modifierValues(hook)].join(" · "))],
      ["hook.url", h("code", {}, `${(hook.http_verb ?? "post").toUpperCase()} ${hook.uri}`)],
      ["hook.success", [this.share, h("small", {}, `${healthText(health)} ${t("hook.testsIncluded")}`)]],
      ["hook.lastSuccess", relativeTime(health.last_success)],
      ["hook.lastFailure", relativeTime(health.last_failure)],
      // These disable the webhook, so they are counted in another way than attempts.
      ["hook.recentFailures", t("hook.failedEvents", { count: health.failures_in_window })],
      ["hook.pending", String(health.deliveries_waiting)],
    ].map(([key, value]) => [t(key), value]);
    properties.push(...optionTexts(hook), [t("hook.signed"), signatureText(hook)]);
    this.properties.replaceChildren(
      ...properties.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]),
    );
  }

  async offerEvents({ hook }) {
    if (!GROUPS_OF_EVENTS.includes(hook)) return this.attempts.setEvents([]);
    try {
      return this.attempts.setEvents((await loadCatalogue(this.rest)).map(({ id }) => id));
    } catch {
      // Without the catalogue there is no filter by event.
      return undefined;
    }
  }

  showPublicKey(key = "") {
    if (this.shownKey === key) return;
    this.shownKey = key;
    const content = key ? [h("p", {}, t("hook.publicKeyHint")), copyField(t("hook.publicKey"), key)] : [];
    this.publicKey.replaceChildren(...content);
  }

  // -- actions

  async sendTest(testButton) {
    testButton.disabled = true;
    await withErrorToast(t("hook.testNotSent"), async () => {
      const attempt = await this.rest.send("POST", this.path("test"));
      if (this.disposed) return;
      const title = t(attempt.result === "success" ? "hook.testSucceeded" : "hook.testFailed");
      openDialog(title, attemptDetails(attempt), { wide: true });
      await this.reload();
    });
    testButton.disabled = false;
  }

  async edit() {
    const saved = await openHookForm(this.app, { hook: this.hook, revision: this.revision });
    if (saved !== null) await this.reload();
  }

  async duplicate() {
    const created = await openHookForm(this.app, { template: this.hook });
    if (created !== null) location.hash = `#/webhooks/${encodeURIComponent(created.id)}`;
  }

  async replaySpan() {
    const enable = async () => {
      if (this.sender.isDisabled) await this.enable();
    };
    await openReplay(this.rest, this.path, enable);
    await this.reload();
  }

  toggleEnabled() {
    const enabled = this.hook.enabled === false;
    return withErrorToast(t(enabled ? "hook.notEnabled" : "hook.notDisabled"), async () => {
      await this.setEnabled(enabled);
      notify(t(enabled ? "hook.enabled" : "hook.disabled"));
      await this.reload();
    });
  }

  async enable() {
    await this.setEnabled(true);
    await this.load();
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
    const question = t("hook.stopSigningQuestion");
    if (!(await confirmDialog(question, t("hook.stopSigning"), t("hook.stopSigningDetail")))) return;
    await withErrorToast(t("hook.signingNotStopped"), async () => {
      await this.rest.send("DELETE", this.path("secret"));
      notify(t("hook.signingStopped"));
      // The button is about to disappear.
      this.newSecret.focus();
      await this.reload();
    });
  }

  async remove() {
    const { name } = this.hook;
    const question = t("hook.deleteQuestion", { name });
    if (!(await confirmDialog(question, t("common.delete"), t("hook.deleteDetail")))) return;
    await withErrorToast(t("hook.notDeleted"), async () => {
      await this.rest.send("DELETE", this.path());
      notify(t("hook.deleted", { name }));
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
