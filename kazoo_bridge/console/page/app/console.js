/** The page of whoever has signed in: header, navigation, connection, and one view at a time. */

import { LiveCalls } from "./calls.js";
import { timeOfDay, toGregorian } from "./clock.js";
import { button, h, setAttribute, setText } from "./dom.js";
import { BINDINGS, EventLog } from "./events.js";
import { Rest } from "./rest.js";
import { say, sayProblem } from "./saying.js";
import { EventSocket, socketUri } from "./socket.js";
import { WebhookOverview } from "./webhooks.js";
import { AccountSwitcher } from "./views/account-switcher.js";
import { CallsView } from "./views/calls.js";
import { EventsView } from "./views/events.js";
import { ParkingView } from "./views/parking.js";
import { SocketsView } from "./views/sockets.js";
import { WebhookView } from "./views/webhook.js";
import { WebhooksView } from "./views/webhooks.js";

const PLACES = [
  ["calls", "Live calls", CallsView],
  ["parking", "Parking", ParkingView],
  ["events", "Events", EventsView],
  ["webhooks", "Webhooks", WebhooksView],
  ["sockets", "Sockets", SocketsView],
];

export class Console {
  /** `leave` has signOut(reason) and switchAccount(account). */
  constructor(session, settings, leave) {
    this.session = session;
    this.account = session.account;
    this.leave = leave;
    this.rest = new Rest(session.token, () => this.expired());
    this.socket = new EventSocket(
      socketUri(settings.websocket, location),
      session.token,
      session.account.id,
      ["calls", ...BINDINGS],
    );
    this.calls = new LiveCalls();
    this.events = new EventLog();
    this.hooks = new WebhookOverview(this.rest, session.account.id);
    this.view = null;
    this.element = this.build();
  }

  build() {
    this.switcher = new AccountSwitcher(this.rest, this.session, this.leave.switchAccount);
    this.place = h("main", { id: "view", tabindex: "-1" });
    this.light = h("span", { class: "light", "aria-hidden": "true" });
    this.status = h("span", {}, "Connecting…");
    this.offline = h("p", { class: "offline", role: "alert", hidden: true });
    this.links = PLACES.map(([word, title]) => h("a", { href: `#/${word}` }, title));
    return h(
      "div",
      { class: "console" },
      h("a", { class: "skip", href: "#view", onclick: (event) => this.skip(event) }, "Skip to content"),
      h(
        "header",
        { class: "top" },
        h(
          "span",
          { class: "brand" },
          h("img", { src: "icon.svg", alt: "", width: "24", height: "24" }),
          "Operator console",
        ),
        h("nav", { "aria-label": "Views" }, this.links),
        h(
          "div",
          { class: "who" },
          h("span", { class: "connection" }, this.light, this.status),
          this.switcher.element,
          button("Sign out", () => this.leave.signOut()),
        ),
      ),
      this.offline,
      this.place,
    );
  }

  /** Connect and show the view that the address names. */
  begin() {
    this.socket.addEventListener("state", () => this.connectionChanged());
    this.socket.addEventListener("event", ({ detail }) => this.hear(detail));
    this.socket.addEventListener("gap", () => this.events.markGap());
    this.socket.addEventListener("refused", ({ detail }) => this.refused(detail));
    this.socket.addEventListener("expired", () => this.expired());
    this.socket.open();
    this.hooks.begin();
    this.route = () => this.navigate();
    window.addEventListener("hashchange", this.route);
    this.ticking = setInterval(() => this.tick(), 1000);
    this.navigate();
  }

  dispose() {
    window.removeEventListener("hashchange", this.route);
    clearInterval(this.ticking);
    this.view?.dispose();
    this.view = null;
    this.hooks.end();
    this.switcher.dispose();
    this.socket.close();
    for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
  }

  expired() {
    if (this.view !== null)
      this.leave.signOut("You have been signed out: the token has expired or was revoked.");
  }

  hear(frame) {
    if (frame.subscribed_key !== "calls") {
      this.events.add(frame);
      return;
    }
    this.calls.follow(frame);
    this.connectionChanged();
  }

  refused({ binding, reason }) {
    if (binding === "calls") this.calls.refuse(reason);
    else sayProblem(`Events of ${binding} are not shown: ${reason}`);
  }

  tick() {
    this.calls.tick();
    this.view?.tick?.();
    if (!this.socket.state.online) this.connectionChanged();
  }

  connectionChanged() {
    const { online, nextTry } = this.socket.state;
    const was = this.wasOnline;
    this.wasOnline = online;
    if (online && was === false) {
      if (this.metServer) say("Connected again, and up to date");
      this.hooks.refresh();
      this.switcher.offer();
      this.view?.reconnected?.();
    }
    this.metServer ||= online;
    // The server is there, but hears nothing of the switch.
    const deaf = online && this.calls.doubtedSince !== null;
    setText(
      this.status,
      deaf ? "No switch" : online ? "Live" : this.metServer || nextTry ? "Offline" : "Connecting…",
    );
    setAttribute(this.light, "class", `light ${online && !deaf ? "on" : "off"}`);
    setAttribute(this.element, "data-offline", online && !deaf ? null : "true");
    this.offline.hidden = !deaf && (online || nextTry === null);
    if (deaf)
      this.explain(
        `The server has lost its connection to the switch: live calls are as they were at ${timeOfDay(this.calls.doubtedSince)}, and commands reach nobody. This page goes on by itself when it is back.`,
      );
    else if (!this.offline.hidden) this.explainOffline(this.socket.state);
  }

  explainOffline({ since, nextTry, reason }) {
    const age =
      since === null
        ? "There is no connection to the server yet."
        : `Offline: what you see is from ${timeOfDay(toGregorian(since))}.`;
    this.countdown ??= h("span", { "aria-hidden": "true" });
    this.explain(
      reason ? `${age} Why: ${reason}.` : age,
      " ",
      this.countdown,
      " ",
      button("Try now", () => this.socket.retryNow()),
    );
    const seconds = Math.max(0, Math.ceil((nextTry - Date.now()) / 1000));
    setText(this.countdown, seconds ? `Trying again in ${seconds} s.` : "Trying again…");
  }

  /** Said once and not every second, so that screen readers do not repeat it; seconds are for the eyes. */
  explain(words, ...more) {
    if (this.offline.dataset.shown === words) return;
    this.offline.dataset.shown = words;
    this.offline.replaceChildren(words, ...more);
  }

  navigate() {
    const [word, id] = location.hash.replace(/^#\/?/, "").split("/").map(decoded);
    const [name, title, View] = PLACES.find(([place]) => place === word) ?? PLACES[0];
    const first = this.view === null;
    this.view?.dispose();
    this.view = name === "webhooks" && id ? new WebhookView(this, id) : new View(this);
    this.place.replaceChildren(this.view.element);
    this.links.forEach((link, at) =>
      setAttribute(link, "aria-current", PLACES[at][0] === name ? "page" : null),
    );
    document.title = `${title} · ${this.account.name}`;
    if (!first) this.place.focus({ preventScroll: true });
    window.scrollTo(0, 0);
  }

  skip(event) {
    event.preventDefault();
    this.place.focus();
  }
}

/** A part of the address, which people may have mistyped. */
function decoded(word) {
  try {
    return decodeURIComponent(word);
  } catch {
    return word;
  }
}
