/** The events of one account as they come: the latest of them, and how many there were in each second. */

import { now } from "./clock.js";

/** What is listened to beside live calls. */
export const BINDINGS = ["call.*.*", "notification.*", "object.*.*", "fax.status.*", "conference.event.*.*"];

const KINDS = {
  call: "Call",
  notification: "Notification",
  object: "Object",
  fax: "Fax",
  conference: "Conference",
};

/** Events that are kept. */
const MOST = 1000;

/** Seconds that are counted. */
export const SECONDS = 120;

export class EventLog extends EventTarget {
  constructor() {
    super();
    this.clear();
  }

  /** Forget everything. */
  clear() {
    this.events = [];
    this.lastId = 0;
    this.counts = new Map();
    this.since = now();
    this.dispatchEvent(new Event("change"));
  }

  /** Take a frame. */
  add(frame) {
    const kind = frame.subscribed_key.split(".")[0];
    this.lastId += 1;
    const at = now();
    this.events.unshift({
      id: this.lastId,
      at,
      kind,
      kindName: KINDS[kind] ?? kind,
      name: frame.name,
      summary: summary(kind, frame.data),
      data: frame.data,
      key: frame.routing_key,
    });
    if (this.events.length > MOST + 200) this.events.length = MOST;
    const second = Math.floor(at);
    this.counts.set(second, (this.counts.get(second) ?? 0) + 1);
    this.dispatchEvent(new Event("change"));
  }

  /** Note in the log that events are missing here. */
  markGap() {
    this.lastId += 1;
    this.events.unshift({
      id: this.lastId,
      at: now(),
      kind: "gap",
      kindName: "Gap",
      name: "events are missing",
      summary: "the connection was lost for too long",
      data: {},
      key: "",
    });
    this.dispatchEvent(new Event("change"));
  }

  /** How many there were in each of the last seconds, the oldest first; the second that is not over is left out. */
  perSecond() {
    const current = Math.floor(now());
    for (const second of this.counts.keys()) {
      if (second < current - SECONDS - 5) this.counts.delete(second);
    }
    return Array.from({ length: SECONDS }, (_, at) => this.counts.get(current - SECONDS + at) ?? 0);
  }
}

export const EVENT_KINDS = KINDS;

function summary(kind, data) {
  const parts = {
    call: [
      [joined(data.caller_id_name, data.caller_id_number), joined(data.callee_id_name, data.callee_id_number)]
        .filter(Boolean)
        .join(" → "),
      data.hangup_cause,
      data.parking_slot && `slot ${data.parking_slot}`,
    ],
    notification: [
      joined(data.caller_id_name, data.caller_id_number),
      joined(data.from_user, data.to_user),
      data.fax_to_number,
    ],
    object: [data.type, data.id],
    fax: [data.status, data.fax_state],
    conference: [data.event, data.conference_id],
  }[kind];
  return (parts ?? []).filter(Boolean).join(" · ");
}

const joined = (name, number) => [name, number !== name && number].filter(Boolean).join(" ");
