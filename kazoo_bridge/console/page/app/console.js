/** The signed-in page: header, navigation, connection status, and one view at a time. */

import { LiveCalls } from "./calls.js";
import { formatTime, toGregorian } from "./clock.js";
import { CallCommands } from "./commands.js";
import { button, h, openDialogs, setAttribute, setText } from "./dom.js";
import { EVENT_BINDINGS, EventLog } from "./events.js";
import { Operator } from "./operator.js";
import { setTitle } from "./page-title.js";
import { PRESENCE_BINDINGS } from "./presence.js";
import { updateRelativeTimes } from "./relative-time.js";
import { TokenRenewal } from "./renewal.js";
import { RestClient } from "./rest.js";
import { shortcutOf } from "./shortcuts.js";
import { EventSocket, websocketUrl } from "./socket.js";
import { notify, notifyError } from "./toasts.js";
import { AccountSwitcher } from "./views/account-switcher.js";
import { CallsView } from "./views/calls.js";
import { EventsView } from "./views/events.js";
import { openHelp } from "./views/help-dialog.js";
import { ParkingView } from "./views/parking.js";
import { SocketsView } from "./views/sockets.js";
import { WebhookDetailView } from "./views/webhook-detail.js";
import { WebhooksView } from "./views/webhooks.js";
import { failedCount } from "./webhook-state.js";
import { WebhookPoller } from "./webhooks.js";

const TICK_INTERVAL_MS = 1000;

const KEY_IS_GONE =
  "the sign-in has expired or was revoked. It was not renewed, because the page has been loaded again since" +
  " you gave the API key, and the key is not stored";

/** Route, title, and class of each view; the first is the default. */
const VIEWS = [
  ["calls", "Live calls", CallsView],
  ["parking", "Parking", ParkingView],
  ["events", "Events", EventsView],
  ["webhooks", "Webhooks", WebhooksView],
  ["sockets", "Sockets", SocketsView],
];

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
    this.element = this.build();
  }

  build() {
    this.switcher = new AccountSwitcher(this.rest, this.session, this.callbacks.onSwitchAccount);
    this.main = h("main", { id: "view", tabindex: "-1" });
    this.indicator = h("span", { class: "indicator", "aria-hidden": "true" });
    this.status = h("span", {}, "Connecting…");
    this.banner = h("p", { class: "banner", role: "alert", hidden: true });
    this.links = VIEWS.map(([route, title]) => h("a", { href: `#/${route}` }, title));
    this.failedHooks = h("span", { class: "badge error", hidden: true });
    this.links[VIEWS.findIndex(([route]) => route === "webhooks")].append(" ", this.failedHooks);
    const logo = h("img", { src: "icon.svg", alt: "", width: "24", height: "24" });
    return h(
      "div",
      { class: "console" },
      h(
        "a",
        { class: "skip-link", href: "#view", onclick: (event) => this.skipToContent(event) },
        "Skip to content",
      ),
      h(
        "header",
        { class: "app-header" },
        h("span", { class: "brand" }, logo, "Operator console"),
        h("nav", { "aria-label": "Views" }, this.links),
        h(
          "div",
          { class: "header-tools" },
          h("span", { class: "connection" }, this.indicator, this.status),
          this.switcher.element,
          button("?", () => this.openHelp(), { "aria-label": "Keyboard shortcuts", title: "Keyboard shortcuts" }),
          button("Sign out", () => this.callbacks.onSignOut()),
        ),
      ),
      this.banner,
      this.main,
    );
  }

  /** Connect, and show the view of the current URL. */
  start() {
    this.socket.addEventListener("state", () => this.updateConnection());
    this.socket.addEventListener("event", ({ detail }) => this.onEvent(detail));
    this.socket.addEventListener("gap", () => this.eventLog.markGap());
    this.socket.addEventListener("rejected", ({ detail }) => this.onSubscriptionRejected(detail));
    this.socket.addEventListener("expired", () => this.onExpired());
    this.socket.open();
    this.webhooks.addEventListener("change", () => this.showFailedHooks());
    this.webhooks.start();
    this.operator.start();
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
    this.operator.dispose();
    this.commands.dispose();
    this.socket.close();
    for (const dialog of openDialogs()) dialog.close();
  }

  /** Sign out, unless there is an API key that gives a new token: this computer may have slept for hours. */
  async onExpired() {
    if (this.renewal && (await this.renewal.renew())) return;
    if (this.view === null) return;
    this.callbacks.onSignOut(`You have been signed out: ${this.signOutReason()}.`);
  }

  signOutReason() {
    if (this.renewal) return this.renewal.error;
    return this.session.hadApiKey ? KEY_IS_GONE : "the token has expired or was revoked";
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

  onSubscriptionRejected({ binding, reason }) {
    if (binding === "calls") this.calls.setUnavailable(reason);
    else if (!PRESENCE_BINDINGS.includes(binding)) notifyError(`Cannot subscribe to ${binding}: ${reason}`);
  }

  tick() {
    this.calls.tick();
    this.operator.tick();
    this.view?.tick?.();
    updateRelativeTimes(this.main);
    if (!this.socket.state.online) this.updateConnection();
  }

  updateConnection() {
    const { online, nextAttempt } = this.socket.state;
    const wasOnline = this.wasOnline;
    this.wasOnline = online;
    if (online && wasOnline === false) this.onReconnect();
    this.everOnline ||= online;
    // The server is reachable, but has lost its connection to the switch.
    const switchUnreachable = online && this.calls.staleSince !== null;
    const healthy = online && !switchUnreachable;
    const offlineStatus = this.everOnline || nextAttempt ? "Offline" : "Connecting…";
    setText(this.status, switchUnreachable ? "No switch" : online ? "Live" : offlineStatus);
    setAttribute(this.indicator, "class", `indicator ${healthy ? "online" : "offline"}`);
    setAttribute(this.element, "data-offline", healthy ? null : "true");
    this.banner.hidden = healthy || (!switchUnreachable && nextAttempt === null);
    if (switchUnreachable) this.showSwitchBanner();
    else if (!this.banner.hidden) this.showOfflineBanner(this.socket.state);
  }

  showFailedHooks() {
    const count = failedCount(this.webhooks.hooks);
    this.failedHooks.hidden = !count;
    setText(this.failedHooks, `${count} down`);
    setAttribute(this.failedHooks, "title", "Disabled because their receivers fail");
  }

  onReconnect() {
    if (this.everOnline) notify("Reconnected and up to date");
    this.webhooks.refresh();
    this.switcher.enable();
    this.view?.onReconnect?.();
  }

  showSwitchBanner() {
    const time = formatTime(this.calls.staleSince);
    this.showBanner(
      "The server has lost its connection to the switch. " +
        `Live calls are shown as of ${time}, and commands fail. The page recovers by itself.`,
    );
  }

  showOfflineBanner({ lastOnline, nextAttempt, reason }) {
    const age =
      lastOnline === null
        ? "Not connected to the server yet."
        : `Offline: the data shown is from ${formatTime(toGregorian(lastOnline))}.`;
    this.countdown ??= h("span", { "aria-hidden": "true" });
    const retry = button("Retry now", () => this.socket.retryNow());
    this.showBanner(reason ? `${age} Reason: ${reason}.` : age, " ", this.countdown, " ", retry);
    const seconds = Math.max(0, Math.ceil((nextAttempt - Date.now()) / 1000));
    setText(this.countdown, seconds ? `Retrying in ${seconds} s.` : "Retrying…");
  }

  /** Replace the banner only when its text changes: screen readers announce every change of an alert. */
  showBanner(text, ...children) {
    if (this.banner.dataset.text === text) return;
    this.banner.dataset.text = text;
    this.banner.replaceChildren(text, ...children);
  }

  navigate() {
    const [path, id] = location.hash.replace(/^#\/?/, "").split("/").map(decodeSegment);
    const [route, title, View] = VIEWS.find(([name]) => name === path) ?? VIEWS[0];
    const isFirstView = this.view === null;
    this.view?.dispose();
    this.view = route === "webhooks" && id ? new WebhookDetailView(this, id) : new View(this);
    this.main.replaceChildren(this.view.element);
    this.links.forEach((link, index) => {
      setAttribute(link, "aria-current", VIEWS[index][0] === route ? "page" : null);
    });
    setTitle(`${title} · ${this.account.name}`);
    this.main.focus({ preventScroll: true });
    if (isFirstView || this.isKeyboardNavigation) this.view.focusResults?.();
    this.isKeyboardNavigation = false;
    this.element.scrollIntoView();
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
      this.isKeyboardNavigation = location.hash !== `#/${VIEWS[shortcut][0]}`;
      location.hash = `#/${VIEWS[shortcut][0]}`;
    }
  }

  openHelp() {
    openHelp(VIEWS.map(([, title]) => title));
  }

  skipToContent(event) {
    event.preventDefault();
    this.main.focus();
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
