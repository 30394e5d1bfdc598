/** Commands to live calls, as operators know them: to which leg each goes, and with which data. */

import { callName, legName, otherLeg, ownLeg } from "./calls.js";
import { confirmed } from "./dialogs.js";
import { say, sayProblem } from "./saying.js";

export class Commands {
  constructor(socket, calls) {
    Object.assign(this, { socket, calls });
  }

  /** Put the call on hold; one of the account's people does that. */
  hold(call) {
    return this.send(call, ownLeg(call), "hold");
  }

  /** Take the call back. */
  resume(call) {
    return this.send(call, ownLeg(call), "resume");
  }

  /** Let the other end wait in a slot. */
  park(call) {
    return this.send(call, otherLeg(call), "park");
  }

  /** Fetch the call out of its slot. */
  unpark(call) {
    return this.send(call, parkedLeg(call), "unpark", call.slot ? { slot: call.slot } : {});
  }

  /** End it, if that is what is meant. */
  async hangup(call) {
    const meant = await confirmed("Hang up this call?", "Hang up", callName(call));
    if (!meant) return false;
    const current = this.calls.successorOf(call);
    if (current) return this.send(current, current.legs[0], "hangup");
    say(`${callName(call)}: the call has ended already`);
    return true;
  }

  /**
   * Connect the other end to `target`; "attended": whoever has the call speaks to the target first. Who is parked is connected to nobody
   * that could transfer: there, the target takes the call over.
   */
  transfer(call, target, kind) {
    if (call.state === "parked")
      return this.send(call, parkedLeg(call), "intercept", { target_type: "number", target_id: target });
    return this.send(call, ownLeg(call), "transfer", { target, "transfer-type": kind });
  }

  /** Any other. */
  async send(call, leg, command, data = {}) {
    try {
      say(`${legName(leg)}: ${await this.socket.command(leg.call_id, command, data)}`);
      return true;
    } catch (error) {
      sayProblem(`${callName(call)}: ${command} did not work: ${error.message}`);
      return false;
    }
  }
}

const parkedLeg = (call) => call.legs.find((leg) => leg.state === "parked") ?? call.legs[0];
