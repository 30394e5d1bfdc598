/** Commands to live calls: selects the leg and the data for each, and shows its result. */

import { accountLeg, callName, legName, legParty, parkedLeg, remoteLeg } from "./calls.js";
import { COMMANDS, effectOf, firstStage } from "./command-table.js";
import { Consultations } from "./consultations.js";
import { confirmDialog } from "./dialogs.js";
import { h, setText } from "./dom.js";
import { interceptData, legToPickUp } from "./my-phone.js";
import { Recordings } from "./recordings.js";
import { t } from "./strings.js";
import { notify, notifyProgress } from "./toasts.js";

/** How long the outcome of a command shows at its call. */
const OUTCOME_DURATION_MS = 15000;

/** Events: "change", when a call becomes busy or is no longer, or what `statusOf` returns changes. */
export class CallCommands extends EventTarget {
  /** `isMine(leg)` is whether a leg is that of the operator's phone, which then holds, parks and transfers. */
  constructor(socket, calls, isMine = () => false) {
    super();
    Object.assign(this, { socket, calls, isMine });
    this.consultations = new Consultations(calls);
    this.recordings = new Recordings();
    this.runs = new Set();
    /** Runs that have ended, as long as their outcome shows. */
    this.settled = new Set();
    this.onCallsChange = () => this.followCalls();
    calls.addEventListener("change", this.onCallsChange);
  }

  /** Forget the commands under way. */
  dispose() {
    this.calls.removeEventListener("change", this.onCallsChange);
    for (const run of this.runs) run.stop();
    for (const run of this.settled) clearTimeout(run.timer);
    this.runs.clear();
    this.settled.clear();
  }

  /** Return whether `command` has to wait, because another one to this call is under way. */
  isBusy(call, command = "") {
    if (!this.runs.size) return false;
    return this.runsOf(call).some((run) => run.blocks(command));
  }

  /**
   * Return the status of a call, `{kind, text}`: of a command under way ("pending"), or of its outcome ("success",
   * "error" or "info"); null without a command.
   */
  statusOf(call) {
    if (!this.runs.size && !this.settled.size) return null;
    const run = [...this.settled, ...this.runs].findLast((one) => one.concerns(call));
    return run ? { kind: run.kind, text: run.text } : null;
  }

  // -- commands; each resolves to whether the server has sent it to the switch

  /** Return the leg that holds and transfers: that of the operator's phone, else that of the account's party. */
  ownLeg(call) {
    return call.legs.find((leg) => leg.state !== "parked" && this.isMine(leg)) ?? accountLeg(call);
  }

  /** Return the leg of the other party, which is parked, transferred and recorded. */
  otherLeg(call) {
    return remoteLeg(call, this.ownLeg(call));
  }

  /** Put the call on hold for the account's party. */
  hold(call) {
    return this.send("hold", call, this.ownLeg(call), {}, this.otherLeg(call));
  }

  /** Take the call off hold. */
  resume(call) {
    return this.send("resume", call, this.ownLeg(call), {}, this.otherLeg(call));
  }

  /** Park the remote party in a slot; in one that the switch chooses if `slot` is empty. */
  park(call, slot = "") {
    return this.send("park", call, this.otherLeg(call), slot ? { slot } : {});
  }

  /** Retrieve the call from its park slot. */
  unpark(call) {
    return this.send("unpark", call, parkedLeg(call), call.slot ? { slot: call.slot } : {});
  }

  /** Hang up the call after confirmation. */
  async hangup(call) {
    if (this.isBusy(call, "hangup")) return false;
    if (!(await this.confirmHangup(call))) return false;
    const current = this.calls.findCurrent(call);
    if (current) return this.send("hangup", current, current.legs[0]);
    notify(t("command.alreadyEnded", { call: callName(call) }));
    return false;
  }

  /** Ask whether to hang up a call. The question names the parties that the call has now. */
  async confirmHangup(call) {
    const parties = h("p", {}, callName(call));
    const update = () => setText(parties, callName(this.calls.findCurrent(call) ?? call));
    this.calls.addEventListener("change", update);
    const confirmed = await confirmDialog(t("hangup.question"), t("action.hangup"), parties);
    this.calls.removeEventListener("change", update);
    return confirmed;
  }

  /**
   * Transfer the remote party to `target`; `type` is "blind" or "attended".
   *
   * A parked call has no other party that could transfer it, so the target intercepts it instead.
   */
  async transfer(call, target, type, name = target) {
    if (call.state === "parked") return this.intercept(call, parkedLeg(call), "number", target, name);
    const data = { target, "transfer-type": type };
    const [own, remote] = [this.ownLeg(call), this.otherLeg(call)];
    const isPassedOn = await this.send("transfer", call, own, data, remote, name);
    if (isPassedOn && type === "attended" && own !== remote) this.consultations.begin(call, own, remote);
    return isPassedOn;
  }

  /** Connect the party that waits to the operator's phone. */
  pickUp(call, phone, autoAnswer = false) {
    const leg = legToPickUp(call);
    return this.send("intercept", call, leg, interceptData(phone, autoAnswer), leg, phone.name);
  }

  /** Complete an attended transfer: the operator's party leaves, and connects the two others. */
  complete(call) {
    const { agent, waiting, target } = this.consultations.of(call);
    return this.send("complete", call, agent, {}, waiting, legName(target));
  }

  /** Let the operator's party talk to the party that waits, and the other one wait. */
  swap(call) {
    const { agent, waiting, target, isSwapped } = this.consultations.of(call);
    const next = isSwapped ? target : waiting;
    // The telephone that consults takes the call that it holds.
    return this.send("swap", call, next, phoneOf(agent), next, legName(agent));
  }

  /** Cancel an attended transfer: the target leaves, and the operator's party is back with the other one. */
  cancel(call) {
    const { waiting, target } = this.consultations.of(call);
    return this.send("cancel", call, target, {}, waiting, legName(target));
  }

  /** Connect a leg to a target, in place of its other party; `type` is "number", "device" or "user". */
  intercept(call, leg, type, id, name = id) {
    return this.send("intercept", call, leg, { target_type: type, target_id: id }, leg, name);
  }

  /** Control the recording of a leg; `action` is "start", "stop", "mask" or "unmask". */
  async record(call, leg, action) {
    const isPassedOn = await this.send("record_call", call, leg, { action });
    if (isPassedOn) this.recordings.asked(leg, action);
    return isPassedOn;
  }

  /** Speak a text to a leg. */
  say(call, leg, text) {
    return this.send("say", call, leg, { text });
  }

  /** Stop the playback to a leg. */
  stopPlayback(call, leg) {
    return this.send("break", call, leg);
  }

  /**
   * Send a command to a leg, unless one to the same call is under way. `about` is the leg of the party that
   * the command is about, `target` the party that it is to be connected to.
   */
  async send(name, call, leg, data = {}, about = leg, target = "") {
    if (this.isBusy(call, name)) return false;
    // The result of an earlier command no longer shows once another one changes the call.
    for (const run of this.runsOf(call)) this.end(run);
    for (const run of [...this.settled]) if (run.concerns(call)) this.forget(run);
    const run = new CommandRun(name, call, leg, data, legName(about), target);
    this.runs.add(run);
    this.dispatchEvent(new Event("change"));
    try {
      await this.socket.command(leg.call_id, COMMANDS[name].command ?? name, data);
    } catch (error) {
      if (this.runs.has(run)) this.settle(run, { failure: error.message });
      return false;
    }
    if (this.runs.has(run)) {
      this.enter(run, firstStage(run));
      this.follow(run);
    }
    return true;
  }

  // -- effects

  runsOf(call) {
    return [...this.runs].filter((run) => run.concerns(call));
  }

  followCalls() {
    for (const run of [...this.settled, ...this.runs]) {
      // While the call is known, its present legs identify it: a transfer may replace them one after another.
      if (run.call) run.call = this.calls.findCurrent(run.call);
      if (run.isPassedOn && this.runs.has(run)) this.follow(run);
    }
  }

  /** Show the effect of a command, as far as there is one. */
  follow(run) {
    const effect = effectOf(run);
    if (effect === null) return;
    if (effect.stage) this.enter(run, effect);
    else this.settle(run, effect);
  }

  enter(run, stage) {
    if (run.isPassedOn && run.stage === stage.stage) return;
    run.enter(stage, () => this.onTimeout(run, stage));
    this.dispatchEvent(new Event("change"));
  }

  onTimeout(run, { otherwise }) {
    // Without a connection, missing events prove nothing.
    const effect = this.socket.state.online ? otherwise(run) : { unknown: true };
    if (effect.stage) this.enter(run, effect);
    else this.settle(run, effect);
  }

  settle(run, effect) {
    run.settle(effect);
    this.runs.delete(run);
    this.settled.add(run);
    run.timer = setTimeout(() => {
      this.forget(run);
      this.dispatchEvent(new Event("change"));
    }, OUTCOME_DURATION_MS);
    this.dispatchEvent(new Event("change"));
  }

  forget(run) {
    clearTimeout(run.timer);
    this.settled.delete(run);
  }

  end(run) {
    run.stop();
    this.runs.delete(run);
  }
}

/** A command under way. See `COMMANDS` for its fields. */
class CommandRun {
  constructor(name, call, leg, data, party, target) {
    Object.assign(this, { name, before: call, call, leg, data, party, target });
    this.isPassedOn = false;
    /** The stage of the effect; undefined until there is one. */
    this.stage = undefined;
    this.hasRung = false;
    this.words = COMMANDS[name];
    this.progress = notifyProgress(this.words.doing(this));
    /** What its call shows: "pending", or the kind of the outcome, and a text without the party's name. */
    this.kind = "pending";
    this.text = this.words.pending(this);
  }

  concerns(call) {
    const ids = new Set([...this.before.legs, ...(this.call?.legs ?? [])].map((leg) => leg.call_id));
    return call.legs.some((leg) => ids.has(leg.call_id));
  }

  /** Whether `command` to the same call has to wait. A call that does not react can be hung up. */
  blocks(command) {
    if (!this.isPassedOn) return true;
    if (this.stage !== undefined) return false;
    return command !== "hangup" || this.name === "hangup";
  }

  /** Enter a stage, for a limited time. */
  enter({ stage, text, timeoutMs }, onTimeout) {
    this.isPassedOn = true;
    this.stage = stage;
    if (text) {
      this.progress.update(text);
      this.text = text;
    }
    clearTimeout(this.timer);
    this.timer = setTimeout(onTimeout, timeoutMs);
  }

  /** Show the result. */
  settle({ success, failure, sent, unknown }) {
    clearTimeout(this.timer);
    this.kind = success ? "success" : sent ? "info" : "error";
    this.text = capitalize(this.words.done?.(this, success) || success || failure || "");
    if (success) this.progress.succeed(success);
    else if (sent) {
      this.text = t("command.asked");
      this.progress.inform(sent);
    } else if (unknown) {
      this.text = t("command.unknown");
      this.progress.fail(t("command.lost", { doing: this.words.doing(this) }));
    } else this.progress.fail(this.stage ? failure : t("command.failed", { task: this.words.task(this), reason: failure }));
  }

  /** End without a result. */
  stop() {
    clearTimeout(this.timer);
    this.progress.dismiss();
  }
}

/** Return the telephone of a leg, as the target of the command `intercept`. */
function phoneOf(leg) {
  if (leg.authorizing_id && leg.authorizing_type === "device") {
    return { target_type: "device", target_id: leg.authorizing_id };
  }
  if (leg.owner_id) return { target_type: "user", target_id: leg.owner_id };
  return { target_type: "number", target_id: legParty(leg).number };
}

const capitalize = (text) => text.charAt(0).toUpperCase() + text.slice(1);
