/**
 * The commands to live calls: the texts of each, and the events that prove its effect.
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

const ENDED = { failure: t("command.ended") };
const noEffect = () => ({ failure: t("command.nothing") });

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
    return { failure: run.hasRung ? t("connect.unansweredLeft", { party, target }) : t("connect.left", { party }) };
  }
  const legs = newLegs(run);
  const answered = legs.find((one) => one.state !== "ringing");
  const transfers = run.name === "transfer" && call.legs.some(({ call_id: id }) => id === leg.call_id);
  if (answered) {
    // The party that transfers the call may talk to the target first.
    const values = { party, target: legName(answered) };
    return success(transfers ? t("connect.answered", values) : t("connect.connected", values));
  }
  if (legs.length) {
    run.hasRung = true;
    const text = t("connect.ringing", { party, target: legName(legs[0]) });
    return { stage: "ringing", text, timeoutMs: RING_TIMEOUT_MS, otherwise: stillRinging };
  }
  if (run.hasRung) {
    const text = t("connect.stopped", { party, target });
    return { stage: "stopped", text, timeoutMs: NEXT_PHONE_TIMEOUT_MS, otherwise: notAnswered };
  }
  if (run.name !== "transfer" || transfers || before.legs.length < 2) return null;
  // Menus, voicemail boxes and conferences answer without a leg of their own.
  const otherwise = () => success(t("connect.transferred", { party, target }));
  return {
    stage: "left",
    text: t("transfer.doing", { party, target }),
    timeoutMs: TARGET_TIMEOUT_MS,
    otherwise,
  };
}

const stillRinging = ({ target }) => ({ failure: t("connect.notYet", { target }) });

function notAnswered({ call, party, target, leg }) {
  const isConnected = call?.legs.length > 1 && call.legs.some(({ call_id: id }) => id === leg.call_id);
  const values = { party, target };
  if (call?.state === "held") return { failure: t("connect.unansweredHeld", values) };
  if (isConnected) return { failure: t("connect.unansweredBack", values) };
  return { failure: t("connect.unanswered", values) };
}

/** A phone that rings for a party need not be connected to its call until it has answered. */
const calling = (run) => ({
  stage: "calling",
  text: t("transfer.consulting", { party: run.party, target: run.target }),
  timeoutMs: RING_TIMEOUT_MS,
  otherwise: notAnswered,
});

const hasLeg = (call, leg) => call.legs.some(({ call_id: id }) => id === leg.call_id);

const whileLive = (effect) => (run) => (run.call ? effect(run) : ENDED);

/**
 * For each command:
 * - `command`: its name on the wire, where it is another one;
 * - `task`: what it is to do, to complete the sentence "Could not …" ("command.failed");
 * - `doing`: the text until its effect shows;
 * - `pending`: the same at the call, without its party; and `done`, its text there after `success`, if it differs;
 * - `effect`: null as long as there is none; `{success}` or `{failure}`, a text; or a stage on the way, with
 *   the `text` to show, and a function `otherwise` for when nothing else has happened within `timeoutMs`;
 * - `otherwise`: the same for the first `EFFECT_TIMEOUT_MS`; that nothing happened, where it is missing.
 *
 * Commands without `effect` have none that events show: `sent` says that they were passed on, and no more.
 */
export const COMMANDS = {
  hold: {
    task: ({ party }) => t("hold.task", { party }),
    doing: ({ party }) => t("hold.doing", { party }),
    pending: () => t("hold.pending"),
    done: (_, success) => success && t("hold.done"),
    effect: whileLive(({ call, party }) => (call.state === "held" ? success(t("hold.success", { party })) : null)),
  },
  resume: {
    task: ({ party }) => t("resume.task", { party }),
    doing: ({ party }) => t("resume.doing", { party }),
    pending: () => t("resume.pending"),
    done: (_, success) => success && t("resume.done"),
    effect: whileLive(({ call, party }) =>
      call.state === "answered" ? success(t("resume.success", { party })) : null,
    ),
  },
  park: {
    task: ({ party }) => t("park.task", { party }),
    doing: ({ party }) => t("park.doing", { party }),
    pending: () => t("park.pending"),
    done: ({ call }, success) => success && (call.slot ? t("park.doneIn", { slot: call.slot }) : t("park.done")),
    effect: whileLive(({ call, party }) => {
      if (call.state !== "parked") return null;
      return success(call.slot ? t("park.successIn", { party, slot: call.slot }) : t("park.success", { party }));
    }),
  },
  unpark: {
    task: ({ party }) => t("unpark.task", { party }),
    doing: ({ party }) => t("unpark.doing", { party }),
    pending: () => t("unpark.pending"),
    effect: whileLive((run) => {
      const { call, party } = run;
      const [retriever] = newLegs(run);
      if (call.state === "parked") return null;
      if (retriever) return success(t("connect.connected", { party, target: legName(retriever) }));
      const otherwise = () => success(t("unpark.success", { party }));
      return {
        stage: "retrieved",
        text: t("unpark.doing", { party }),
        timeoutMs: NEXT_PHONE_TIMEOUT_MS,
        otherwise,
      };
    }),
  },
  hangup: {
    task: ({ before }) => t("hangup.task", { call: callName(before) }),
    doing: ({ before }) => t("hangup.doing", { call: callName(before) }),
    pending: () => t("hangup.pending"),
    done: (_, success) => success && t("hangup.done"),
    effect: ({ call, before }) => (call ? null : success(t("hangup.success", { call: callName(before) }))),
  },
  transfer: {
    task: ({ party, target }) => t("transfer.task", { party, target }),
    doing: ({ party, target, data }) =>
      data["transfer-type"] === "attended"
        ? t("transfer.consulting", { party, target })
        : t("transfer.doing", { party, target }),
    pending: ({ target, data }) =>
      data["transfer-type"] === "attended" ? t("transfer.pendingConsult", { target }) : t("transfer.pending", { target }),
    done: ({ target, data }, success) =>
      success && data["transfer-type"] === "blind" && t("transfer.done", { target }),
    effect: connectionEffect,
    otherwise: (run) => (run.data["transfer-type"] === "attended" ? calling(run) : noEffect()),
  },
  intercept: {
    task: ({ party, target }) => t("intercept.task", { party, target }),
    doing: ({ party, target }) => t("intercept.doing", { party, target }),
    pending: ({ target }) => t("intercept.pending", { target }),
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
    task: ({ party, data }) => t(`record.${data.action}.task`, { party }),
    doing: ({ party, data }) => t(`record.${data.action}.doing`, { party }),
    pending: () => t("command.asking"),
    sent: ({ party, data }) => t("command.sent", { task: t(`record.${data.action}.task`, { party }) }),
  },
  say: {
    task: ({ party }) => t("say.task", { party }),
    doing: ({ party }) => t("say.doing", { party }),
    pending: () => t("command.asking"),
    sent: ({ party }) => t("command.sent", { task: t("say.task", { party }) }),
  },
  break: {
    task: ({ party }) => t("break.task", { party }),
    doing: ({ party }) => t("break.doing", { party }),
    pending: () => t("command.asking"),
    sent: ({ party }) => t("command.sent", { task: t("break.task", { party }) }),
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
