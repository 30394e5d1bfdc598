/** Reports ringing calls: count in the title, sound, and notifications of the browser. */

import { callName, partyName } from "./calls.js";
import { laneOf } from "./lanes.js";
import { isMyCall } from "./my-phone.js";
import { t } from "./strings.js";

/** How often the sound repeats while a call rings. */
const SOUND_INTERVAL_MS = 5000;

export class RingAlerts {
  /** `output` has `setCount(count)`, `sound()`, and `show(title, body, tag)`, which returns `{close()}`. */
  constructor(calls, states, settings, output) {
    Object.assign(this, { calls, states, settings, output });
    /** Call id -> its notification, or null, for each call that rings. */
    this.ringing = new Map();
    this.lastSound = -Infinity;
    this.onUpdate = () => this.update();
    states.addEventListener("update", this.onUpdate);
    settings.addEventListener("change", this.onUpdate);
  }

  dispose() {
    this.states.removeEventListener("update", this.onUpdate);
    this.settings.removeEventListener("change", this.onUpdate);
    for (const notification of this.ringing.values()) notification?.close();
    this.output.setCount(0);
  }

  update() {
    const ringing = this.calls.calls.filter((call) => this.concerns(call));
    const ids = new Set(ringing.map(({ id }) => id));
    for (const [id, notification] of this.ringing) {
      if (ids.has(id)) continue;
      notification?.close();
      this.ringing.delete(id);
    }
    const begun = ringing.filter(({ id }) => !this.ringing.has(id));
    for (const call of begun) this.ringing.set(call.id, this.notify(call));
    this.output.setCount(ringing.length);
    if (begun.length) this.lastSound = -Infinity;
    this.tick();
  }

  /** Repeat the sound while a call rings. */
  tick() {
    if (!this.ringing.size || !this.settings.get("sound")) return;
    if (Date.now() - this.lastSound < SOUND_INTERVAL_MS) return;
    this.lastSound = Date.now();
    this.output.sound();
  }

  notify(call) {
    if (!this.settings.get("notifications")) return null;
    return this.output.show(t("alerts.rings", { caller: partyName(call.caller) }), callName(call), call.id);
  }

  /** Whether a call is to be reported: it rings, for the operator's phone or at all, as the operator wants it. */
  concerns(call) {
    const phone = this.settings.get("phone");
    if (call.state !== "ringing") return false;
    if (this.settings.get("alertFor") === "mine" && phone) return isRingingAt(call, phone);
    return laneOf(call, null) === "ringing";
  }
}

const isRingingAt = (call, phone) =>
  isMyCall({ legs: call.legs.filter(({ direction, state }) => direction === "outbound" && state === "ringing") }, phone);

/** Show a notification of the browser, unless the page is in sight; a click on it brings the page up. */
export function showNotification(title, body, tag) {
  const { Notification } = globalThis;
  if (Notification?.permission !== "granted" || document.hasFocus()) return null;
  try {
    const notification = new Notification(title, { body, tag });
    notification.onclick = () => {
      window.focus();
      notification.close();
    };
    return notification;
  } catch {
    // Browsers of phones have the class, but only service workers may use it.
    return null;
  }
}
