/** Commands to live calls: selects the leg and the data for each. */

import { accountLeg, callName, legName, remoteLeg } from "./calls.js";
import { confirmDialog } from "./dialogs.js";
import { notify, notifyError } from "./toasts.js";

export class CallCommands {
  constructor(socket, calls) {
    Object.assign(this, { socket, calls });
  }

  /** Put the call on hold for the account's party. */
  hold(call) {
    return this.send(call, accountLeg(call), "hold");
  }

  /** Take the call off hold. */
  resume(call) {
    return this.send(call, accountLeg(call), "resume");
  }

  /** Park the remote party. */
  park(call) {
    return this.send(call, remoteLeg(call), "park");
  }

  /** Retrieve the call from its park slot. */
  unpark(call) {
    return this.send(call, parkedLeg(call), "unpark", call.slot ? { slot: call.slot } : {});
  }

  /** Hang up the call after confirmation. */
  async hangup(call) {
    const confirmed = await confirmDialog("Hang up this call?", "Hang up", callName(call));
    if (!confirmed) return false;
    const current = this.calls.findCurrent(call);
    if (current) return this.send(current, current.legs[0], "hangup");
    notify(`${callName(call)}: the call has already ended`);
    return true;
  }

  /**
   * Transfer the remote party to `target`; `type` is "blind" or "attended".
   *
   * A parked call has no other party that could transfer it, so the target intercepts it instead.
   */
  transfer(call, target, type) {
    if (call.state === "parked") {
      return this.send(call, parkedLeg(call), "intercept", { target_type: "number", target_id: target });
    }
    return this.send(call, accountLeg(call), "transfer", { target, "transfer-type": type });
  }

  /** Send a command to a leg and show the result as a toast. Returns whether it succeeded. */
  async send(call, leg, command, data = {}) {
    try {
      notify(`${legName(leg)}: ${await this.socket.command(leg.call_id, command, data)}`);
      return true;
    } catch (error) {
      notifyError(`${callName(call)}: ${command} failed: ${error.message}`);
      return false;
    }
  }
}

const parkedLeg = (call) => call.legs.find((leg) => leg.state === "parked") ?? call.legs[0];
