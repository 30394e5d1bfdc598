/**
 * Which legs are being recorded: as the server reports it, and as the switch was asked in this browser, since
 * some switches do not report recordings. Whether the sound is masked is never reported.
 */

const AFTER_ACTION = { start: "on", stop: null, mask: "masked", unmask: "on" };
const AFTER_EVENT = { RECORD_START: "on", RECORD_STOP: null };

/** Recordings are forgotten with their calls; this bounds what a missed end leaves behind. */
const MAX_LEGS = 1000;

/** Events: "change". */
export class Recordings extends EventTarget {
  constructor() {
    super();
    /** Leg id -> "on" or "masked". */
    this.legs = new Map();
  }

  /** Return whether a call is recorded: "on", "masked" when its sound is hidden, or "" for not. */
  of(call) {
    for (const leg of call.allLegs) {
      const recording = this.legs.get(leg.call_id) ?? (leg.recording === true ? "on" : null);
      if (recording) return recording;
    }
    return "";
  }

  /** Record that the switch was asked to "start", "stop", "mask" or "unmask" the recording of a leg. */
  asked(leg, action) {
    this.set(leg.call_id, AFTER_ACTION[action]);
  }

  /** Follow an event of a call. */
  onEvent({ name, data }) {
    if (name in AFTER_EVENT) this.set(data.call_id, AFTER_EVENT[name]);
    else if (name === "CHANNEL_DESTROY" && this.legs.has(data.call_id)) this.set(data.call_id, null);
  }

  set(id, recording) {
    this.legs.delete(id);
    if (recording) this.legs.set(id, recording);
    for (const oldest of this.legs.keys()) if (this.legs.size > MAX_LEGS) this.legs.delete(oldest);
    this.dispatchEvent(new Event("change"));
  }
}
