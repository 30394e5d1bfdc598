/**
 * The people of an account: from its directory, and learned from its calls; each with a state.
 *
 * A person is `{key, number, name, userId, state, isFavourite}`. The state is "free" (no call is known),
 * "ringing", "talking", "dnd" (do not disturb), "offline", or "unknown" for a person without an extension.
 */

import { isAccountLeg, legParty } from "./calls.js";
import { Presence } from "./presence.js";
import { RestError, accountPath } from "./rest.js";

const MAX_PEOPLE = 5000;
const DO_NOT_DISTURB = "do_not_disturb";

/** Numbers with at most so many digits are extensions. */
const EXTENSION = /^[*\d]{2,7}$/;

/** The higher one counts when a person has several calls. */
const STATE_RANK = { unknown: 0, free: 0, offline: 1, dnd: 2, ringing: 3, talking: 4 };

/** Events: "change", when a person or a state may have changed. */
export class People extends EventTarget {
  constructor(rest, accountId, calls, settings) {
    super();
    Object.assign(this, { rest, accountId, calls, settings });
    this.presence = new Presence();
    /** People of the directory; `learned` has those of calls, by number. */
    this.directory = [];
    /** Numbers and ids of the people of the directory. */
    this.directoryKeys = new Set();
    /** The telephones of the directory, `{id, name}`. */
    this.devices = [];
    this.learned = new Map();
    /** The calls that `learned` is from. */
    this.learnedFrom = null;
    /** All people in order; null when they have to be sorted. */
    this.sorted = null;
    /** The favourites that `sorted` is for. */
    this.sortedFor = null;
    settings.addEventListener("change", ({ detail }) => {
      if (detail === "favourites") this.dispatchEvent(new Event("change"));
    });
  }

  /** Load the directory. An installation without one, or a token without the right to it, is no error. */
  async load() {
    try {
      const [users, devices] = await Promise.all([this.fetch("users"), this.fetch("devices")]);
      const owned = byOwner(devices);
      this.directory = users.map((user) => fromUser(user, owned.get(user.id)));
      this.directoryKeys = new Set(this.directory.flatMap(({ number, userId }) => [number, userId]));
      this.devices = devices.map(({ id, name }) => ({ id, name: name || id }));
      this.sorted = null;
    } catch (error) {
      if (!(error instanceof RestError)) throw error;
    }
    this.dispatchEvent(new Event("change"));
  }

  async fetch(kind) {
    try {
      const list = await this.rest.get(accountPath(this.accountId, kind), { paginate: "false" }, MAX_PEOPLE);
      return Array.isArray(list) ? list.slice(0, MAX_PEOPLE) : [];
    } catch (error) {
      if (error.status >= 400 && error.status < 500 && error.status !== 401) return [];
      throw error;
    }
  }

  /** Follow an event of presence. */
  onPresence(frame) {
    if (this.presence.onEvent(frame)) this.dispatchEvent(new Event("change"));
  }

  /** Follow a loss of events. */
  onGap() {
    this.presence.clear();
    this.dispatchEvent(new Event("change"));
  }

  setFavourite(key, isFavourite) {
    this.settings.setIncluded("favourites", key, isFavourite);
  }

  /** Learn the people that are in calls now, if calls have changed. */
  learnFromCalls() {
    const { calls } = this.calls;
    if (calls === this.learnedFrom) return;
    this.learnedFrom = calls;
    for (const leg of this.accountLegs()) this.learn(leg);
  }

  /** Return all people with their states: favourites first, then by name. */
  list() {
    this.learnFromCalls();
    const busy = statesOfLegs(this.accountLegs());
    const states = this.presence.states();
    return this.inOrder().map((person) => ({ ...person, state: stateOf(person, busy, states) }));
  }

  /** Return all people in order, without states. They are sorted again only when people or favourites change. */
  inOrder() {
    const favourites = this.settings.get("favourites");
    if (this.sorted === null || this.sortedFor !== favourites) {
      const keys = new Set(favourites);
      const others = [...this.learned.values()].filter((person) => !this.isInDirectory(person));
      const people = [...this.directory, ...others];
      this.sorted = people.map((person) => ({ ...person, isFavourite: keys.has(person.key) })).sort(comparePeople);
      this.sortedFor = favourites;
    }
    return this.sorted;
  }

  isInDirectory({ number, userId }) {
    return this.directoryKeys.has(number) || this.directoryKeys.has(userId);
  }

  accountLegs() {
    return this.calls.calls.filter((call) => !call.endedAt).flatMap((call) => call.legs.filter(isAccountLeg));
  }

  learn(leg) {
    const { name, number } = legParty(leg);
    const before = this.learned.get(number);
    if (!EXTENSION.test(number) || (!before && this.learned.size >= MAX_PEOPLE)) return;
    const userId = leg.owner_id ?? before?.userId ?? null;
    if (before && before.userId === userId && (!name || before.name === name)) return;
    const person = { key: number, number, name: name || before?.name || number, userId, isDnd: false };
    this.learned.set(number, person);
    if (!this.isInDirectory(person)) this.sorted = null;
  }
}

/** Return devices by the id of their owner. */
function byOwner(devices) {
  const owned = new Map();
  for (const device of devices) {
    const { owner_id: owner } = device;
    if (!owned.has(owner)) owned.set(owner, []);
    owned.get(owner).push(device);
  }
  return owned;
}

/** Return the person of a user's document, with the number of its phone, which may be that of a device. */
function fromUser(user, own = []) {
  const candidates = [
    ...(user.extensions ?? []),
    user.caller_id?.internal?.number,
    user.presence_id,
    user.username,
    ...own.map(({ presence_id: presenceId }) => presenceId),
    ...own.map(({ username }) => username),
  ];
  const number = candidates.map((one) => String(one ?? "").split("@")[0]).find((one) => EXTENSION.test(one)) ?? "";
  const fullName = [user.first_name, user.last_name].filter(Boolean).join(" ");
  return {
    key: user.id,
    number,
    name: fullName || user.username || number || user.id,
    userId: user.id,
    isDnd: user.do_not_disturb?.enabled === true || Boolean(user.features?.includes?.(DO_NOT_DISTURB)),
  };
}

/** Return the states of the account's legs, by number and by owner. */
function statesOfLegs(legs) {
  const states = new Map();
  for (const leg of legs) {
    // A phone that dials is in use; one that is called rings.
    const state = leg.state === "ringing" && leg.direction === "outbound" ? "ringing" : "talking";
    for (const key of [legParty(leg).number, leg.owner_id]) {
      if (key && STATE_RANK[state] > STATE_RANK[states.get(key) ?? "free"]) states.set(key, state);
    }
  }
  return states;
}

function stateOf({ number, userId, isDnd, key }, busy, presence) {
  const present = [busy.get(number), userId && busy.get(userId), presence.get(number)].filter(Boolean);
  const state = present.sort((left, right) => STATE_RANK[right] - STATE_RANK[left])[0];
  if (state) return state;
  if (isDnd) return "dnd";
  return number || key !== userId ? "free" : "unknown";
}

function comparePeople(left, right) {
  return (
    Number(right.isFavourite) - Number(left.isFavourite) ||
    left.name.localeCompare(right.name) ||
    left.number.localeCompare(right.number, undefined, { numeric: true })
  );
}
