/** The state of telephones, as the switch publishes it. */

import { now } from "./clock.js";

/** Bindings of presence, as they are subscribed, and how they begin in events. */
export const PRESENCE_BINDINGS = ["presence.dialog.*", "presence.update.*"];
const SHOWN_PREFIXES = ["dialog.", "update."];

/** KAZOO's states of dialogs and telephones -> state of a person. */
const STATES = { early: "ringing", confirmed: "talking", terminated: "free", online: "free", offline: "offline" };

/** The higher one counts when a number has several dialogs. */
const STATE_RANK = { offline: 0, ringing: 1, talking: 2 };

/** A dialog of which no end has arrived for so long is taken for over. */
const MAX_DIALOG_AGE_S = 4 * 3600;

const MAX_DIALOGS = 5000;

/** Whether an event is one of presence. */
export function isPresence({ subscribed_key: key }) {
  return SHOWN_PREFIXES.some((prefix) => key.startsWith(prefix));
}

export class Presence {
  constructor() {
    /** Call id, or that of a telephone -> `{number, state, at}`. */
    this.dialogs = new Map();
  }

  /** Follow an event; return whether it is about a number. */
  onEvent({ data }) {
    const number = String(data.presence_id ?? data.to ?? "").split("@")[0];
    const state = STATES[data.state];
    if (!number || !state) return false;
    const id = data.call_id ?? number;
    this.dialogs.delete(id);
    if (state !== "free") this.dialogs.set(id, { number, state, at: now() });
    for (const oldest of this.dialogs.keys()) if (this.dialogs.size > MAX_DIALOGS) this.dialogs.delete(oldest);
    return true;
  }

  /** Forget all states: events that ended them may have been lost. */
  clear() {
    this.dialogs.clear();
  }

  /** Return the states of all numbers that are not free. */
  states() {
    const states = new Map();
    for (const [id, { number, state, at }] of this.dialogs) {
      if (state !== "offline" && now() - at > MAX_DIALOG_AGE_S) this.dialogs.delete(id);
      else if (STATE_RANK[state] > (STATE_RANK[states.get(number)] ?? -1)) states.set(number, state);
    }
    return states;
  }
}
