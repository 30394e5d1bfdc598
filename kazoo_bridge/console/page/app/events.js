/** The log of one account's events, and their rate per second. */

import { now } from "./clock.js";

/** Bindings of the events in the log. */
export const EVENT_BINDINGS = [
  "call.*.*",
  "notification.*",
  "object.*.*",
  "fax.status.*",
  "conference.event.*.*",
];

/** Categories, with their display names. */
export const EVENT_KINDS = {
  call: "Call",
  notification: "Notification",
  object: "Object",
  fax: "Fax",
  conference: "Conference",
};

const MAX_EVENTS = 1000;

/** The log is truncated only when it exceeds its maximum by this many events, not with every event. */
const TRUNCATE_THRESHOLD = 200;

/** Seconds that the event rate covers. */
export const RATE_WINDOW_S = 120;

export class EventLog extends EventTarget {
  constructor() {
    super();
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

  /** Add an event frame. */
  add(frame) {
    const kind = frame.subscribed_key.split(".")[0];
    const receivedAt = now();
    this.append({
      receivedAt,
      kind,
      kindName: EVENT_KINDS[kind] ?? kind,
      name: frame.name,
      summary: summarize(kind, frame.data),
      data: frame.data,
      routingKey: frame.routing_key,
    });
    const second = Math.floor(receivedAt);
    this.counts.set(second, (this.counts.get(second) ?? 0) + 1);
  }

  /** Mark in the log that events are missing. */
  markGap() {
    this.append({
      receivedAt: now(),
      kind: "gap",
      kindName: "Gap",
      name: "events are missing",
      summary: "the connection was lost for too long",
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
    for (const second of this.counts.keys()) {
      if (second < current - RATE_WINDOW_S) this.counts.delete(second);
    }
    const countAt = (_, index) => this.counts.get(current - RATE_WINDOW_S + index) ?? 0;
    return Array.from({ length: RATE_WINDOW_S }, countAt);
  }
}

function summarize(kind, data) {
  const caller = join(data.caller_id_name, data.caller_id_number);
  const callee = join(data.callee_id_name, data.callee_id_number);
  const parts = {
    call: [
      [caller, callee].filter(Boolean).join(" → "),
      data.hangup_cause,
      data.parking_slot && `slot ${data.parking_slot}`,
    ],
    notification: [caller, join(data.from_user, data.to_user), data.fax_to_number],
    object: [data.type, data.id],
    fax: [data.status, data.fax_state],
    conference: [data.event, data.conference_id],
  };
  return (parts[kind] ?? []).filter(Boolean).join(" · ");
}

const join = (name, number) => [name, number !== name && number].filter(Boolean).join(" ");
