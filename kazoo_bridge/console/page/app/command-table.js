/**
 * The commands to live calls: what each says, and what proves that it has had its effect.
 *
 * The server only reports that it has passed a command on; events of the call show its effect.
 * Each function gets the run of the command: `party` (its name), `target`, `data`, `leg` (which received it),
 * `before` (the call when it was sent), and `call` (as it is now; undefined when it has ended).
 */

import { callName, legName } from "./calls.js";
import { t } from "./strings.js";

/** How long the first effect of a command may take. */
const EFFECT_TIMEOUT_MS = 8000;

/** How long a phone may ring until the console no longer waits for the answer. */
const RING_TIMEOUT_MS = 60000;

/** How long a target without a phone that rings, like a voicemail box, may take to show one after all. */
const TARGET_TIMEOUT_MS = 10000;

/** How long the next phone of the same target may take to ring after the first has stopped. */
const NEXT_PHONE_TIMEOUT_MS = 3000;

const ENDED = { failure: "the call has ended" };
const noEffect = () => ({ failure: "nothing happened" });

const success = (text) => ({ success: text });

/** Legs that have appeared since the command was sent. */
function newLegs({ before, call }) {
  const known = new Set(before.allLegs.map((leg) => leg.call_id));
  return call.legs.filter((leg) => !known.has(leg.call_id));
}

/** The effect of connecting a party to a target: its phone rings, and answers or stops ringing. */
function connectionEffect(run) {
  const { before, call, party, target, leg } = run;
  if (!call) {
    return { failure: run.hasRung ? `${target} did not answer, and ${party} has left` : `${party} has left` };
  }
  const legs = newLegs(run);
  const answered = legs.find((one) => one.state !== "ringing");
  const transfers = run.name === "transfer" && call.legs.some(({ call_id: id }) => id === leg.call_id);
  if (answered) {
    // The party that transfers the call may talk to the target first.
    const relation = transfers ? `has answered, ${party} waits` : `is connected to ${party}`;
    return success(`${legName(answered)} ${relation}`);
  }
  if (legs.length) {
    run.hasRung = true;
    const text = `${legName(legs[0])} is ringing for ${party}…`;
    return { stage: "ringing", text, timeoutMs: RING_TIMEOUT_MS, otherwise: stillRinging };
  }
  if (run.hasRung) {
    const text = `${target} no longer rings for ${party}…`;
    return { stage: "stopped", text, timeoutMs: NEXT_PHONE_TIMEOUT_MS, otherwise: notAnswered };
  }
  if (run.name !== "transfer" || transfers || before.legs.length < 2) return null;
  // Menus, voicemail boxes and conferences answer without a leg of their own.
  const otherwise = () => success(`${party} was transferred to ${target}`);
  return {
    stage: "left",
    text: `Transferring ${party} to ${target}…`,
    timeoutMs: TARGET_TIMEOUT_MS,
    otherwise,
  };
}

const stillRinging = ({ target }) => ({ failure: `${target} has not answered yet` });

function notAnswered({ call, party, target, leg }) {
  const isConnected = call?.legs.length > 1 && call.legs.some(({ call_id: id }) => id === leg.call_id);
  const rest = call?.state === "held" ? `, ${party} is on hold` : isConnected ? `, ${party} is back` : "";
  return { failure: `${target} did not answer${rest}` };
}

/** A phone that rings for a party need not be connected to its call until it has answered. */
const calling = (run) => ({
  stage: "calling",
  text: `Calling ${run.target} for ${run.party}…`,
  timeoutMs: RING_TIMEOUT_MS,
  otherwise: notAnswered,
});

/** The recording actions, as a task and as what is under way. */
const RECORDING = {
  start: ["start the recording of", "Starting the recording of"],
  stop: ["stop the recording of", "Stopping the recording of"],
  mask: ["mask the recording of", "Masking the recording of"],
  unmask: ["unmask the recording of", "Unmasking the recording of"],
};

const hasLeg = (call, leg) => call.legs.some(({ call_id: id }) => id === leg.call_id);

const whileLive = (effect) => (run) => (run.call ? effect(run) : ENDED);

/**
 * For each command:
 * - `command`: its name on the wire, where it is another one;
 * - `task`: what it is to do, to complete the sentence "Could not …";
 * - `doing`: what is said until its effect shows;
 * - `pending`: the same at the call, so without its party; and `done`, if that is said of `success` at the call;
 * - `effect`: null as long as there is none; `{success}` or `{failure}`, a text; or a stage on the way, with
 *   the `text` to show, and a function `otherwise` for when nothing else has happened within `timeoutMs`;
 * - `otherwise`: the same for the first `EFFECT_TIMEOUT_MS`; "nothing happened" where it is missing.
 *
 * Commands without `effect` have none that events show: `sent` says that they were passed on, and no more.
 */
export const COMMANDS = {
  hold: {
    task: ({ party }) => `put ${party} on hold`,
    doing: ({ party }) => `Putting ${party} on hold…`,
    pending: () => "Putting on hold…",
    done: (_, success) => success && "Put on hold",
    effect: whileLive(({ call, party }) => (call.state === "held" ? success(`${party} is on hold`) : null)),
  },
  resume: {
    task: ({ party }) => `take ${party} off hold`,
    doing: ({ party }) => `Taking ${party} off hold…`,
    pending: () => "Taking off hold…",
    done: (_, success) => success && "Taken off hold",
    effect: whileLive(({ call, party }) =>
      call.state === "answered" ? success(`${party} is off hold`) : null,
    ),
  },
  park: {
    task: ({ party }) => `park ${party}`,
    doing: ({ party }) => `Parking ${party}…`,
    pending: () => "Parking…",
    done: ({ call }, success) => success && (call.slot ? `Parked in ${call.slot}` : "Parked"),
    effect: whileLive(({ call, party }) => {
      if (call.state !== "parked") return null;
      return success(call.slot ? `${party} is parked in ${call.slot}` : `${party} is parked`);
    }),
  },
  unpark: {
    task: ({ party }) => `retrieve ${party}`,
    doing: ({ party }) => `Retrieving ${party}…`,
    pending: () => "Retrieving…",
    effect: whileLive((run) => {
      const { call, party } = run;
      const [retriever] = newLegs(run);
      if (call.state === "parked") return null;
      if (retriever) return success(`${legName(retriever)} is connected to ${party}`);
      const otherwise = () => success(`${party} is no longer parked`);
      return {
        stage: "retrieved",
        text: `Retrieving ${party}…`,
        timeoutMs: NEXT_PHONE_TIMEOUT_MS,
        otherwise,
      };
    }),
  },
  hangup: {
    task: ({ before }) => `hang up ${callName(before)}`,
    doing: ({ before }) => `Hanging up ${callName(before)}…`,
    pending: () => "Hanging up…",
    done: (_, success) => success && "Hung up",
    effect: ({ call, before }) => (call ? null : success(`${callName(before)}: hung up`)),
  },
  transfer: {
    task: ({ party, target }) => `transfer ${party} to ${target}`,
    doing: ({ party, target, data }) =>
      data["transfer-type"] === "attended"
        ? `Calling ${target} for ${party}…`
        : `Transferring ${party} to ${target}…`,
    pending: ({ target, data }) =>
      data["transfer-type"] === "attended" ? `Calling ${target}…` : `Transferring to ${target}…`,
    done: ({ target, data }, success) =>
      success && data["transfer-type"] === "blind" && `Transferred to ${target}`,
    effect: connectionEffect,
    otherwise: (run) => (run.data["transfer-type"] === "attended" ? calling(run) : noEffect()),
  },
  intercept: {
    task: ({ party, target }) => `connect ${party} to ${target}`,
    doing: ({ party, target }) => `Connecting ${party} to ${target}…`,
    pending: ({ target }) => `Connecting to ${target}…`,
    effect: connectionEffect,
    otherwise: calling,
  },
  complete: {
    command: "hangup",
    task: ({ party, target }) => t("consult.complete.task", { party, target }),
    doing: ({ party, target }) => t("consult.complete.doing", { party, target }),
    pending: () => t("consult.complete.pending"),
    effect: whileLive(({ call, leg, party, target }) =>
      hasLeg(call, leg) ? null : success(t("consult.complete.done", { party, target })),
    ),
  },
  cancel: {
    command: "hangup",
    task: ({ target }) => t("consult.cancel.task", { target }),
    doing: ({ target }) => t("consult.cancel.doing", { target }),
    pending: () => t("consult.cancel.pending"),
    effect: whileLive(({ call, leg, party }) =>
      hasLeg(call, leg) ? null : success(t("consult.cancel.done", { party })),
    ),
  },
  swap: {
    command: "intercept",
    task: ({ party, target }) => t("consult.swap.task", { party, target }),
    doing: ({ party }) => t("consult.swap.doing", { party }),
    pending: () => t("consult.swap.pending"),
    effect: whileLive(({ call, leg, party }) => {
      const now = call.legs.find(({ call_id: id }) => id === leg.call_id);
      return now && now.state !== "held" ? success(t("consult.swap.done", { party })) : null;
    }),
  },
  record_call: {
    task: ({ party, data }) => `${RECORDING[data.action][0]} ${party}`,
    doing: ({ party, data }) => `${RECORDING[data.action][1]} ${party}…`,
    pending: () => "Asking the switch…",
    sent: ({ party, data }) =>
      `Asked the switch to ${RECORDING[data.action][0]} ${party}; it does not report the result`,
  },
  say: {
    task: ({ party }) => `say this to ${party}`,
    doing: ({ party }) => `Saying this to ${party}…`,
    pending: () => "Asking the switch…",
    sent: ({ party }) => `Asked the switch to say this to ${party}; it does not report the result`,
  },
  break: {
    task: ({ party }) => `stop the playback to ${party}`,
    doing: ({ party }) => `Stopping the playback to ${party}…`,
    pending: () => "Asking the switch…",
    sent: ({ party }) => `Asked the switch to stop the playback to ${party}; it does not report the result`,
  },
};

/** Return the effect of a command that is passed on; see `COMMANDS`. */
export function effectOf(run) {
  const { effect, sent } = COMMANDS[run.name];
  return effect ? effect(run) : { sent: sent(run) };
}

/** Return the first stage of a command that is passed on, which lasts until its effect shows. */
export function firstStage(run) {
  return { timeoutMs: EFFECT_TIMEOUT_MS, otherwise: COMMANDS[run.name].otherwise ?? noEffect };
}
