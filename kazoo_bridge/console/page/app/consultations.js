/**
 * Attended transfers in progress: the operator's party talks to the target, and the other party waits.
 *
 * Calls do not say so themselves. A consultation is known where it was begun, and else from the legs of its call,
 * as far as they say which of them are connected.
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

  /** Begin one: the party of `agentLeg` is connected to another one while that of `waitingLeg` waits. */
  begin(call, agentLeg, waitingLeg) {
    for (const oldest of this.begun.keys()) {
      if (this.begun.size >= MAX_CONSULTATIONS || !this.isLive(oldest)) this.begun.delete(oldest);
    }
    const known = new Set(call.allLegs.map((leg) => leg.call_id));
    const [agent, waiting] = [agentLeg.call_id, waitingLeg.call_id];
    this.begun.set(agent, { agent, waiting, known });
    this.dispatchEvent(new Event("change"));
  }

  /**
   * Return the consultation about a call: the legs `agent`, `waiting` and `target`, whether it `isAnswered`, and
   * whether it `isSwapped`, so that the target waits; null for none.
   */
  of(call) {
    if (call.endedAt || call.legs.length < 3) return null;
    const begun = this.begun.size ? call.legs.map((leg) => this.begun.get(leg.call_id)).find(Boolean) : undefined;
    return begun ? present(begun, call) : inferred(call);
  }

  isLive(id) {
    return this.calls.legs.has(id);
  }
}

/** Return a consultation with its present legs; null when one of its parties is not in the call. */
function present({ agent, waiting, known }, call) {
  const find = (id) => call.legs.find((leg) => leg.call_id === id);
  return makeConsultation(find(agent), find(waiting), call.legs.find((leg) => !known.has(leg.call_id)));
}

/** Return the consultation that the legs of a call show: one waits on hold for a leg that talks to a third. */
function inferred({ legs }) {
  for (const waiting of legs.filter(({ state }) => state === "held")) {
    const agent = legs.find((leg) => leg.call_id === waiting.other_leg_call_id && leg.state !== "held");
    const isTarget = (leg) => leg.call_id === agent.other_leg_call_id || leg.other_leg_call_id === agent.call_id;
    const target = agent && legs.find((leg) => leg !== waiting && leg !== agent && isTarget(leg));
    if (target) return makeConsultation(agent, waiting, target);
  }
  return null;
}

function makeConsultation(agent, waiting, target) {
  if (!agent || !waiting || !target) return null;
  const isAnswered = target.state !== "ringing";
  return { agent, waiting, target, isAnswered, isSwapped: isAnswered && target.state === "held" };
}
