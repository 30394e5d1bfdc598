/** New calls of the operator's phone, to a number or into a live call: each is followed, and its result shown. */

import { callName, legName, partyName } from "./calls.js";
import { originateData } from "./my-phone.js";
import { t } from "./strings.js";
import { toNumber } from "./suggestions.js";
import { notifyError, notifyProgress } from "./toasts.js";

/** How long the call may take until it is answered, after the server has sent it to the switch. */
const ANSWER_TIMEOUT_MS = 120000;

/** The modes of the command `eavesdrop`. */
export const LISTENING = ["listen", "whisper", "full"];

export class OutgoingCalls {
  constructor(socket, calls, settings) {
    Object.assign(this, { socket, calls, settings });
    /** Attempts under way. */
    this.attempts = new Set();
    /** An outcome may arrive before the reply with the id of its command. */
    this.onOutcome = ({ detail }) => this.attempts.forEach((attempt) => attempt.onOutcome(detail));
    this.onChange = () => this.attempts.forEach((attempt) => attempt.follow());
    socket.addEventListener("outcome", this.onOutcome);
    calls.addEventListener("change", this.onChange);
  }

  dispose() {
    this.socket.removeEventListener("outcome", this.onOutcome);
    this.calls.removeEventListener("change", this.onChange);
    for (const attempt of this.attempts) attempt.end();
  }

  /** Call a number from the operator's phone. Resolves to whether the server has sent it to the switch. */
  call(number, name = "") {
    const dialled = toNumber(number);
    return this.start("originate", partyName({ name, number: dialled }), (phone) =>
      originateData(phone, dialled, this.settings.get("autoAnswer")),
    );
  }

  /** Let the operator's phone listen to a leg of a call; `mode` is one of `LISTENING`. */
  eavesdrop(call, leg, mode) {
    return this.start("eavesdrop", callName(call), ({ type, id }) => ({
      call_id: leg.call_id,
      from_type: type,
      from_id: id,
      mode,
    }));
  }

  async start(command, party, dataFor) {
    const phone = this.settings.get("phone");
    if (phone === null) {
      notifyError(t("phone.none"));
      return false;
    }
    const attempt = new Attempt(this, command, party);
    try {
      attempt.onReply(await this.socket.newCall(command, dataFor(phone)));
      return true;
    } catch (error) {
      attempt.fail(error.message);
      return false;
    }
  }
}

/** Causes of the switch that have a text of their own. */
const CAUSES = {
  NO_ANSWER: t("outgoing.unanswered"),
  ORIGINATOR_CANCEL: t("outgoing.unanswered"),
  USER_BUSY: t("cause.busy"),
  USER_NOT_REGISTERED: t("cause.unregistered"),
  CALL_REJECTED: t("cause.rejected"),
  UNALLOCATED_NUMBER: t("cause.noNumber"),
  NO_ROUTE_DESTINATION: t("cause.noNumber"),
};

const causeText = (reason) => CAUSES[reason] ?? reason ?? t("outgoing.unanswered");

/** One call under way: the phone rings, is answered, and is connected to the party. */
class Attempt {
  constructor(owner, command, party) {
    Object.assign(this, { owner, command, party });
    this.commandId = null;
    this.outcomes = [];
    this.legs = [];
    this.isOver = false;
    this.hasRung = false;
    this.progress = notifyProgress(t("outgoing.asking", { party }));
    owner.attempts.add(this);
  }

  onReply({ command_id: commandId, ...state }) {
    if (this.isOver) return;
    this.commandId = commandId;
    this.timer = setTimeout(() => this.fail(t("outgoing.unanswered")), ANSWER_TIMEOUT_MS);
    this.enter(state);
    for (const outcome of this.outcomes) this.onOutcome(outcome);
    this.follow();
  }

  onOutcome(outcome) {
    if (this.commandId === null) this.outcomes.push(outcome);
    else if (outcome.command_id === this.commandId) this.enter(outcome);
  }

  enter({ status, reason, call_id: id, call_ids: ids }) {
    if (this.isOver) return;
    this.legs = ids ?? (id ? [id] : this.legs);
    const { party } = this;
    if (status === "failed") this.fail(causeText(reason));
    else if (status === "unknown") this.fail(t("outgoing.unknown"));
    else if (status === "started") this.succeed(t("outgoing.listening", { party }));
    else if (status === "ringing") this.progress.update(t("outgoing.rings", { party }));
    else if (status === "answered") this.progress.update(t("outgoing.calling", { party }));
  }

  /** Show whether the phone's leg is connected. */
  follow() {
    if (this.isOver || this.commandId === null || this.command !== "originate") return;
    const { legs } = this.owner.calls;
    const own = this.legs.map((id) => legs.get(id)).filter(Boolean);
    if (!own.length) {
      if (this.hasRung) this.fail(t("outgoing.unanswered"));
      return;
    }
    if (!this.hasRung) this.progress.update(t("outgoing.rings", { party: this.party }));
    this.hasRung = true;
    const answered = own.find(({ state }) => state !== "ringing");
    if (!answered) return;
    const other = [...legs.values()].find(
      (leg) => leg.other_leg_call_id === answered.call_id || leg.call_id === answered.other_leg_call_id,
    );
    if (other && other.state !== "ringing") this.succeed(t("outgoing.connected", { party: legName(other) }));
    else this.progress.update(t("outgoing.calling", { party: this.party }));
  }

  succeed(text) {
    if (this.isOver) return;
    this.progress.succeed(text);
    this.end(true);
  }

  fail(reason) {
    if (this.isOver) return;
    this.progress.fail(t("outgoing.failed", { party: this.party, reason }));
    this.end(true);
  }

  /** Stop following; what shows stays when it `isSettled`. */
  end(isSettled = false) {
    this.isOver = true;
    clearTimeout(this.timer);
    if (!isSettled) this.progress.dismiss();
    this.owner.attempts.delete(this);
  }
}
