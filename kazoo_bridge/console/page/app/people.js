/**
 * The people of an account: from its directory, and learned from its calls; each with a state.
 *
 * A person is `{key, number, name, userId, state, isFavourite}`. The state is "free" (no call is known),
 * "ringing", "talking", "dnd" (do not disturb), "offline", or "unknown" for a person without an extension.
 */

import { legParty } from "./calls.js";
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
    /** People of the directory, and those that are only known from calls, by number. */
    this.directory = [];
    /** The telephones of the directory, `{id, name}`. */
    this.devices = [];
    this.learned = new Map();
    this.seen = null;
  }

  /** Load the directory. An installation without one, or a token without the right to it, is no error. */
  async load() {
    try {
      const [users, devices] = await Promise.all([this.fetch("users"), this.fetch("devices")]);
      this.directory = users.slice(0, MAX_PEOPLE).map((user) => fromUser(user, devices));
      this.devices = devices.slice(0, MAX_PEOPLE).map(({ id, name }) => ({ id, name: name || id }));
    } catch (error) {
      if (!(error instanceof RestError)) throw error;
    }
    this.dispatchEvent(new Event("change"));
  }

  async fetch(kind) {
    try {
      const list = await this.rest.get(accountPath(this.accountId, kind), { paginate: "false" });
      return Array.isArray(list) ? list : [];
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
    const others = this.settings.get("favourites").filter((one) => one !== key);
    this.settings.set("favourites", isFavourite ? [...others, key] : others);
    this.dispatchEvent(new Event("change"));
  }

  /** Learn the people that are in calls now. */
  learnFromCalls() {
    for (const leg of this.accountLegs()) this.learn(leg);
  }

  /** Return all people with their states: favourites first, then by name. */
  list() {
    this.learnFromCalls();
    const legs = this.accountLegs();
    const states = this.presence.states();
    const favourites = new Set(this.settings.get("favourites"));
    const known = new Set(this.directory.map(({ number }) => number));
    const knownIds = new Set(this.directory.map(({ userId }) => userId));
    const others = [...this.learned.values()].filter(
      ({ number, userId }) => !known.has(number) && !(userId && knownIds.has(userId)),
    );
    const busy = statesOfLegs(legs);
    const people = [...this.directory, ...others].map((person) => ({
      ...person,
      state: stateOf(person, busy, states),
      isFavourite: favourites.has(person.key),
    }));
    return people.sort(comparePeople);
  }

  accountLegs() {
    return this.calls.calls.filter((call) => !call.endedAt).flatMap((call) => call.legs.filter(isAccountLeg));
  }

  learn(leg) {
    const { name, number } = legParty(leg);
    if (!EXTENSION.test(number) || this.learned.size >= MAX_PEOPLE) return;
    const before = this.learned.get(number);
    const userId = leg.owner_id ?? before?.userId ?? null;
    if (before && before.userId === userId && (!name || before.name === name)) return;
    this.learned.set(number, {
      key: number,
      number,
      name: name || before?.name || number,
      userId,
      isDnd: false,
    });
  }
}

const isAccountLeg = (leg) => Boolean(leg.owner_id || leg.authorizing_id);

/** Return the person of a user's document, with the number of its phone. */
function fromUser(user, devices) {
  const own = devices.filter(({ owner_id: owner }) => owner === user.id);
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
