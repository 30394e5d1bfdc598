/** The signed-in page for one account: its connection, its data, and one view at a time. */

import { LiveCalls } from "./calls.js";
import { CallCommands } from "./commands.js";
import { openDialogs, setAttribute } from "./dom.js";
import { EVENT_BINDINGS, EventLog, ownBindings } from "./events.js";
import { Operator } from "./operator.js";
import { setTitle } from "./page-title.js";
import { PRESENCE_BINDINGS } from "./presence.js";
import { updateRelativeTimes } from "./relative-time.js";
import { TokenRenewal } from "./renewal.js";
import { RestClient } from "./rest.js";
import { shortcutOf } from "./shortcuts.js";
import { EventSocket, websocketUrl } from "./socket.js";
import { t } from "./strings.js";
import { notify, notifyError } from "./toasts.js";
import { AccountView } from "./views/account.js";
import { AccountSwitcher } from "./views/account-switcher.js";
import { followQuestions } from "./views/ask-dialog.js";
import { AttemptsView } from "./views/attempts.js";
import { CallsView } from "./views/calls.js";
import { ConnectionStatus } from "./views/connection-status.js";
import { EventsView } from "./views/events.js";
import { openHelp } from "./views/help-dialog.js";
import { ParkingView } from "./views/parking.js";
import { openSettings } from "./views/settings-dialog.js";
import { Shell } from "./views/shell.js";
import { SocketsView } from "./views/sockets.js";
import { WebhookDetailView } from "./views/webhook-detail.js";
import { WebhooksView } from "./views/webhooks.js";
import { failedCount } from "./webhook-state.js";
import { WebhookPoller } from "./webhooks.js";

const TICK_INTERVAL_MS = 1000;

/** The views by route, with the name of their icon; the first is the default. */
const VIEWS = [
  ["calls", "phone-call", CallsView],
  ["parking", "square-parking", ParkingView],
  ["events", "activity", EventsView],
  ["webhooks", "webhook", WebhooksView],
  ["sockets", "cable", SocketsView],
  ["account", "building-2", AccountView],
].map(([route, icon, View]) => ({ route, icon, View, title: t(`view.${route}`) }));

/** Views without a place of their own in the navigation, each with the route that is marked there instead. */
const OTHER_VIEWS = [{ route: "attempts", navRoute: "webhooks", View: AttemptsView, title: t("attempts.title") }];

export class Console {
  /**
   * `callbacks` has `onSignOut(reason)`, `onSwitchAccount(account)` and `onRenewed(session)`. `signInAgain()`
   * resolves to a session with a new token; null when the page has no API key to get one.
   */
  constructor(session, settings, callbacks, signInAgain = null) {
    this.session = session;
    this.account = session.account;
    this.callbacks = callbacks;
    this.rest = new RestClient(session.token, () => this.onExpired());
    this.renewal =
      signInAgain && new TokenRenewal(signInAgain, session.expires, (fresh) => this.onRenewed(fresh));
    const bindings = ["calls", ...EVENT_BINDINGS, ...PRESENCE_BINDINGS];
    const url = websocketUrl(settings.websocket, location);
    this.socket = new EventSocket(url, session.token, session.account.id, bindings);
    this.calls = new LiveCalls();
    this.commands = new CallCommands(this.socket, this.calls);
    this.operator = new Operator(this, settings.eavesdrop === true);
    this.eventLog = new EventLog();
    this.webhooks = new WebhookPoller(this.rest, session.account.id);
    this.view = null;
    this.element = this.build(settings.embedded !== true);
  }

  build(hasBroker) {
    this.switcher = new AccountSwitcher(this.rest, this.session, this.callbacks.onSwitchAccount);
    this.connection = new ConnectionStatus(() => this.socket.retryNow(), hasBroker);
    this.shell = new Shell(VIEWS, this.switcher, this.connection, {
      onHelp: () => this.openHelp(),
      onSettings: openSettings,
      onSignOut: () => this.callbacks.onSignOut(),
    });
    this.main = this.shell.main;
    return this.shell.element;
  }

  /** Connect, and show the view of the current URL. */
  start() {
    this.socket.addEventListener("state", () => this.updateConnection());
    this.socket.addEventListener("event", ({ detail }) => this.onEvent(detail));
    this.socket.addEventListener("gap", () => this.onGap());
    this.socket.addEventListener("rejected", ({ detail }) => this.onSubscriptionRejected(detail));
    this.socket.addEventListener("expired", () => this.onExpired());
    this.socket.open();
    this.webhooks.addEventListener("change", () => this.showFailedHooks());
    this.webhooks.start();
    this.operator.start();
    this.stopAsking = followQuestions(this.operator);
    this.subscribeToOwnEvents();
    this.onHashChange = () => this.navigate();
    window.addEventListener("hashchange", this.onHashChange);
    this.onKeyDown = (event) => this.runShortcut(event);
    document.addEventListener("keydown", this.onKeyDown);
    this.tickTimer = setInterval(() => this.tick(), TICK_INTERVAL_MS);
    this.navigate();
  }

  dispose() {
    window.removeEventListener("hashchange", this.onHashChange);
    document.removeEventListener("keydown", this.onKeyDown);
    clearInterval(this.tickTimer);
    this.view?.dispose();
    this.view = null;
    this.renewal?.stop();
    this.webhooks.stop();
    this.switcher.dispose();
    this.stopAsking();
    this.operator.dispose();
    this.commands.dispose();
    this.socket.close();
    for (const dialog of openDialogs()) dialog.close();
  }

  /** Sign out, unless there is an API key that gives a new token: this computer may have slept for hours. */
  async onExpired() {
    if (this.renewal && (await this.renewal.renew())) return;
    if (this.view === null) return;
    this.callbacks.onSignOut(t("signIn.signedOut", { reason: this.signOutReason() }));
  }

  signOutReason() {
    if (this.renewal) return this.renewal.error;
    return t(this.session.hadApiKey ? "signIn.keyIsGone" : "signIn.expired");
  }

  onRenewed({ token, expires }) {
    this.session = { ...this.session, token, expires };
    this.rest.token = token;
    this.socket.renewToken(token);
    this.callbacks.onRenewed(this.session);
  }

  onEvent(frame) {
    if (frame.subscribed_key !== "calls") {
      if (!this.operator.onEvent(frame)) this.eventLog.add(frame);
      return;
    }
    this.calls.applyEvent(frame);
    this.updateConnection();
  }

  onGap() {
    this.eventLog.markGap();
    this.operator.people.onGap();
  }

  /** Add the events of the categories that only this installation has, such as those of plugins. */
  async subscribeToOwnEvents() {
    try {
      const kinds = ownBindings(await this.rest.get("websockets"));
      if (!kinds.size || this.view === null) return;
      this.eventLog.addKinds(kinds);
      this.socket.addBindings([...kinds.keys()]);
    } catch {
      // Without the list, the events of the categories that every server has are shown.
    }
  }

  onSubscriptionRejected({ binding, reason }) {
    if (binding === "calls") this.calls.setUnavailable(reason);
    else if (!PRESENCE_BINDINGS.includes(binding)) notifyError(t("connection.notSubscribed", { binding, reason }));
  }

  tick() {
    this.calls.tick();
    this.operator.tick();
    this.view?.tick?.();
    updateRelativeTimes(this.main);
    if (!this.socket.state.online) this.updateConnection();
  }

  updateConnection() {
    const { online } = this.socket.state;
    const wasOnline = this.wasOnline;
    this.wasOnline = online;
    if (online && wasOnline === false) this.onReconnect();
    const healthy = this.connection.show(this.socket.state, this.calls.staleSince);
    setAttribute(this.element, "data-offline", healthy ? null : "true");
  }

  showFailedHooks() {
    const count = failedCount(this.webhooks.hooks);
    const text = count ? t("app.failedHooks", { count }) : "";
    this.shell.setBadge("webhooks", text, t("app.failedHooksHint"));
  }

  onReconnect() {
    if (this.connection.everOnline) notify(t("connection.reconnected"));
    this.webhooks.refresh();
    this.switcher.enable();
    this.view?.onReconnect?.();
  }

  navigate() {
    const [path, id] = location.hash.replace(/^#\/?/, "").split("/").map(decodeSegment);
    const { route, title, View, navRoute } = [...VIEWS, ...OTHER_VIEWS].find((view) => view.route === path) ?? VIEWS[0];
    const isFirstView = this.view === null;
    this.view?.dispose();
    this.view = route === "webhooks" && id ? new WebhookDetailView(this, id) : new View(this, id);
    this.shell.show(navRoute ?? route, this.view.element);
    setTitle(`${title} · ${this.account.name}`);
    if (isFirstView || this.isKeyboardNavigation) this.view.focusResults?.();
    this.isKeyboardNavigation = false;
  }

  runShortcut(event) {
    const shortcut = openDialogs().length ? null : shortcutOf(event, VIEWS.length);
    if (shortcut === null) return;
    event.preventDefault();
    if (shortcut === "help") this.openHelp();
    else if (shortcut === "search") {
      const search = this.main.querySelector("input[type=search]");
      search?.focus();
      search?.select();
    } else {
      this.isKeyboardNavigation = location.hash !== `#/${VIEWS[shortcut].route}`;
      location.hash = `#/${VIEWS[shortcut].route}`;
    }
  }

  openHelp() {
    openHelp(VIEWS.map(({ title }) => title));
  }
}

/** Decode a segment of the URL's hash; malformed escapes, as in a mistyped URL, stay as they are. */
function decodeSegment(segment) {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}
