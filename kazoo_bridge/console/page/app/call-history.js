/** The calls that have ended in this session, in this tab, and which of them were missed. */

import { legParty } from "./calls.js";
import { now } from "./clock.js";
import { DelayedSave } from "./delayed-save.js";
import { isMyLeg } from "./my-phone.js";

const STORAGE_KEY = "kazoo-bridge-console.history";
const MAX_CALLS = 200;

/** Events: "change". */
export class CallHistory extends EventTarget {
  /** `states` is a `CallStates`, `settings` are `OperatorSettings`. */
  constructor(accountId, states, settings, storage = globalThis.sessionStorage) {
    super();
    Object.assign(this, { accountId, states, settings, storage });
    /** Newest first; see `entryOf`. */
    this.calls = this.load();
    this.saving = new DelayedSave(() => this.save());
    this.onEnded = ({ detail }) => this.add(detail);
    states.addEventListener("ended", this.onEnded);
  }

  dispose() {
    this.saving.dispose();
    this.states.removeEventListener("ended", this.onEnded);
  }

  /** How many missed calls have not been seen yet. */
  get unseen() {
    return this.calls.filter(({ isMissed, isSeen }) => isMissed && !isSeen).length;
  }

  /** Remember that the missed calls have been seen. */
  markSeen() {
    if (!this.unseen) return;
    for (const call of this.calls) call.isSeen = true;
    this.changed();
  }

  clear() {
    this.calls = [];
    this.changed();
  }

  add(record) {
    this.calls.unshift(entryOf(record, this.settings.get("phone")));
    this.calls.length = Math.min(this.calls.length, MAX_CALLS);
    this.changed();
  }

  changed() {
    this.saving.request();
    this.dispatchEvent(new Event("change"));
  }

  save() {
    try {
      this.storage.setItem(STORAGE_KEY, JSON.stringify({ account: this.accountId, calls: this.calls }));
    } catch {
      // The browser stores nothing: the list ends with the page.
    }
  }

  load() {
    try {
      const { account, calls } = JSON.parse(this.storage.getItem(STORAGE_KEY)) ?? {};
      return account === this.accountId && Array.isArray(calls) ? calls.slice(0, MAX_CALLS) : [];
    } catch {
      return [];
    }
  }
}

/**
 * Return the entry of a call that has ended: the party to call back (`name`, `number`), the `other` one, the
 * direction, when it began and ended, and whether it was missed: it came from outside, or to the operator's
 * phone, and was never connected. A voicemail box that takes a call does not connect it to anyone.
 */
export function entryOf({ call, wasConnected }, phone) {
  const { caller, callee, direction, since, id } = call;
  const isOwn = (leg) => isMyLeg(leg, phone);
  const rangMe = call.legs.some((leg) => leg.direction === "outbound" && isOwn(leg));
  const calledByMe = call.legs.some((leg) => leg.direction === "inbound" && isOwn(leg));
  const isFromCaller = direction === "inbound" || (direction === "internal" && !calledByMe);
  const [party, other] = isFromCaller ? [caller, callee] : [callee, caller];
  return {
    id: `${id} ${Math.round(now())}`,
    name: party.name,
    number: party.number,
    other: other.name || other.number || legParty(call.legs[0]).number,
    direction,
    began: Number.isFinite(since) ? since : null,
    ended: now(),
    isMissed: !wasConnected && !calledByMe && (direction === "inbound" || rangMe),
    isSeen: false,
  };
}
