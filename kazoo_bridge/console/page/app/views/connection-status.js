/** Shows whether the console is connected: a light and a word in the header, and a banner when it is not. */

import { formatTime, toGregorian } from "../clock.js";
import { button, h, setAttribute, setText } from "../dom.js";
import { t } from "../strings.js";

export class ConnectionStatus {
  /**
   * `onRetry` is called when the user does not want to wait for the next attempt. `hasBroker`: the server is
   * connected to KAZOO's broker, and not to a bus of its own.
   */
  constructor(onRetry, hasBroker) {
    this.onRetry = onRetry;
    this.indicator = h("span", { class: "indicator", "aria-hidden": "true" });
    this.status = h("span", {}, t("connection.connecting"));
    this.element = h("span", { class: "connection" }, this.indicator, this.status);
    this.broker = hasBroker
      ? null
      : h("span", { class: "badge warning", "data-wide": "", title: t("connection.embeddedHint") }, t("connection.embedded"));
    this.banner = h("p", { class: "banner", role: "alert", hidden: true });
    this.countdown = h("span", { "aria-hidden": "true" });
    this.everOnline = false;
  }

  /**
   * Show the state of an `EventSocket`; `staleSince` is when the server has lost the switch, null if it has
   * not. Returns whether all is well.
   */
  show(socketState, staleSince) {
    const { online, nextAttempt } = socketState;
    this.everOnline ||= online;
    // The server is reachable, but has lost its connection to the switch.
    const switchUnreachable = online && staleSince !== null;
    const healthy = online && !switchUnreachable;
    const offline = this.everOnline || nextAttempt ? "connection.offline" : "connection.connecting";
    const status = switchUnreachable ? "connection.noSwitch" : online ? "connection.live" : offline;
    setText(this.status, t(status));
    setAttribute(this.indicator, "class", `indicator ${healthy ? "online" : "offline"}`);
    this.banner.hidden = healthy || (!switchUnreachable && nextAttempt === null);
    if (switchUnreachable) this.showBanner(t("connection.switchBanner", { time: formatTime(staleSince) }));
    else if (!this.banner.hidden) this.showOffline(socketState);
    return healthy;
  }

  showOffline({ lastOnline, nextAttempt, reason }) {
    const age =
      lastOnline === null
        ? t("connection.never")
        : t("connection.offlineSince", { time: formatTime(toGregorian(lastOnline)) });
    const retry = button(t("connection.retryNow"), this.onRetry);
    const text = reason ? `${age} ${t("connection.reason", { reason })}` : age;
    this.showBanner(text, " ", this.countdown, " ", retry);
    const seconds = Math.max(0, Math.ceil((nextAttempt - Date.now()) / 1000));
    setText(this.countdown, seconds ? t("connection.retryIn", { seconds }) : t("connection.retrying"));
  }

  /** Replace the banner only when its text changes: screen readers announce every change of an alert. */
  showBanner(text, ...children) {
    if (this.banner.dataset.text === text) return;
    this.banner.dataset.text = text;
    this.banner.replaceChildren(text, ...children);
  }
}
