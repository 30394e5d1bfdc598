/** The log of one account's events, and their rate per second. */

import { makeParty } from "./calls.js";
import { now } from "./clock.js";
import { t } from "./strings.js";

/** Bindings of the events in the log, of the categories that every server has. */
export const EVENT_BINDINGS = [
  "call.*.*",
  "notification.*",
  "object.*.*",
  "fax.status.*",
  "conference.event.*.*",
];

/** The categories of `EVENT_BINDINGS`. */
const KNOWN_KINDS = ["call", "notification", "object", "fax", "conference"];

/**
 * Categories whose events are not in the log: other views show them. A client that subscribes to `pivot` is asked
 * about calls, which wait for the answer.
 */
const OTHER_KINDS = ["calls", "parking", "presence", "pivot"];

/** The most bindings of the categories of one installation. */
const MAX_OWN_BINDINGS = 50;

const MAX_EVENTS = 1000;

/** The log is truncated only when it exceeds its maximum by this many events, not with every event. */
const TRUNCATE_THRESHOLD = 200;

/** Seconds that the event rate covers. */
export const RATE_WINDOW_S = 120;

/**
 * Return the bindings of the categories that only this installation has, with the name of the category of each:
 * `categories` is the server's list of bindings by category, in which `{…}` stands for any word.
 */
export function ownBindings(categories) {
  const kinds = new Map();
  for (const [kind, bindings] of Object.entries(categories)) {
    if (KNOWN_KINDS.includes(kind) || OTHER_KINDS.includes(kind)) continue;
    for (const binding of bindings) {
      if (kinds.size < MAX_OWN_BINDINGS) kinds.set(binding.replaceAll(/\{[^{}]*\}/g, "*"), kind);
    }
  }
  return kinds;
}

export class EventLog extends EventTarget {
  constructor() {
    super();
    /** The names of the categories, known ones first. */
    this.kinds = [...KNOWN_KINDS];
    this.ownKinds = new Map();
    this.clear();
  }

  /** Remove all events and counts. */
  clear() {
    /** Newest first. */
    this.events = [];
    this.lastId = 0;
    this.counts = new Map();
    this.dispatchEvent(new Event("change"));
  }

  /** Know the categories of this installation: names by binding, see `ownBindings`. */
  addKinds(ownKinds) {
    this.ownKinds = ownKinds;
    this.kinds = [...new Set([...KNOWN_KINDS, ...ownKinds.values()])];
    this.dispatchEvent(new Event("kinds"));
  }

  /** Add an event frame. */
  add(frame) {
    const key = frame.subscribed_key;
    const kind = this.ownKinds.get(key) ?? key.split(".")[0];
    const receivedAt = now();
    this.append({
      receivedAt,
      kind,
      kindName: kindName(kind),
      name: frame.name,
      summary: summarize(kind, frame.data),
      data: frame.data,
      routingKey: frame.routing_key,
    });
    this.count(Math.floor(receivedAt));
  }

  /** Count an event of this second. Each new second ends the counts that are older than the window. */
  count(second) {
    const count = this.counts.get(second) ?? 0;
    this.counts.set(second, count + 1);
    if (count === 0) this.forgetBefore(second - RATE_WINDOW_S);
  }

  forgetBefore(limit) {
    for (const second of this.counts.keys()) if (second < limit) this.counts.delete(second);
  }

  /** Mark in the log that events are missing. */
  markGap() {
    this.append({
      receivedAt: now(),
      kind: "gap",
      kindName: t("event.gap"),
      name: t("event.gapName"),
      summary: t("event.gapSummary"),
      data: {},
      routingKey: "",
    });
  }

  append(event) {
    this.lastId += 1;
    this.events.unshift({ id: this.lastId, ...event });
    if (this.events.length > MAX_EVENTS + TRUNCATE_THRESHOLD) this.events.length = MAX_EVENTS;
    this.dispatchEvent(new Event("change"));
  }

  /** Return the event count of each second of the window, oldest first, without the current second. */
  perSecond() {
    const current = Math.floor(now());
    this.forgetBefore(current - RATE_WINDOW_S);
    const countAt = (_, index) => this.counts.get(current - RATE_WINDOW_S + index) ?? 0;
    return Array.from({ length: RATE_WINDOW_S }, countAt);
  }
}

/** Return the name of a category that users see: a category of this installation keeps its own name. */
export function kindName(kind) {
  return KNOWN_KINDS.includes(kind) ? t(`event.kind.${kind}`) : kind;
}

/** Return the icon of a category. */
export function kindIcon(kind) {
  const icons = {
    call: "phone",
    notification: "bell",
    object: "box",
    fax: "printer",
    conference: "users",
    gap: "triangle-alert",
  };
  return icons[kind] ?? "zap";
}

function summarize(kind, data) {
  const caller = join(data.caller_id_name, data.caller_id_number);
  const callee = join(data.callee_id_name, data.callee_id_number);
  const parts = {
    call: [
      [caller, callee].filter(Boolean).join(" → "),
      data.hangup_cause,
      data.parking_slot && t("event.slot", { slot: data.parking_slot }),
    ],
    notification: [caller, join(data.from_user, data.to_user), data.fax_to_number],
    object: [data.type, data.id],
    fax: [data.status, data.fax_state],
    conference: [data.event, data.conference_id],
  };
  return (parts[kind] ?? []).filter(Boolean).join(" · ");
}

const join = (name, number) => Object.values(makeParty(name, number)).filter(Boolean).join(" ");
