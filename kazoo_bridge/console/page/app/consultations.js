/**
 * Attended transfers in progress: the operator's party talks to the target, and the other party waits.
 *
 * Calls do not say that they are consulted about, so a consultation is known where it was begun.
 */

const MAX_CONSULTATIONS = 100;

/** Events: "change". */
export class Consultations extends EventTarget {
  constructor(calls) {
    super();
    this.calls = calls;
    /** Agent's leg id -> consultation. */
    this.begun = new Map();
  }

  /** Begin one: the party of `agentLeg` is connected to `target` while that of `waitingLeg` waits. */
  begin(call, agentLeg, waitingLeg, target) {
    for (const oldest of this.begun.keys()) {
      if (this.begun.size >= MAX_CONSULTATIONS || !this.isLive(oldest)) this.begun.delete(oldest);
    }
    const known = new Set(call.allLegs.map((leg) => leg.call_id));
    const [agent, waiting] = [agentLeg.call_id, waitingLeg.call_id];
    this.begun.set(agent, { agent, waiting, target, known, isSwapped: false });
    this.dispatchEvent(new Event("change"));
  }

  /** Record that the operator's party now talks to the other one. */
  swapped({ agent }) {
    const consultation = this.begun.get(agent);
    if (consultation) consultation.isSwapped = !consultation.isSwapped;
    this.dispatchEvent(new Event("change"));
  }

  /**
   * Return the consultation about a call: the legs `agent`, `waiting` and `target`, the `number` of the target,
   * whether it `isAnswered`, and whether it `isSwapped`; null for none.
   */
  of(call) {
    if (!this.begun.size || call.endedAt) return null;
    for (const leg of call.legs) {
      const consultation = this.begun.get(leg.call_id);
      if (consultation) return present(consultation, call);
    }
    return null;
  }

  isLive(id) {
    return this.calls.legs.has(id);
  }
}

/** Return a consultation with its present legs; null when one of its parties is not in the call. */
function present({ agent, waiting, known, target: number, isSwapped }, call) {
  const find = (id) => call.legs.find((leg) => leg.call_id === id);
  const target = call.legs.find((leg) => !known.has(leg.call_id));
  const [agentLeg, waitingLeg] = [find(agent), find(waiting)];
  if (!agentLeg || !waitingLeg || !target) return null;
  return { agent: agentLeg, waiting: waitingLeg, target, number, isAnswered: target.state !== "ringing", isSwapped };
}
