/**
 * "Ask me": calls about which KAZOO asks a pivot point, for an operator who chooses their destinations.
 *
 * While the operator is subscribed, callers wait for the answer, at most for the time of the pivot point.
 */

import { describeFlow } from "./ask-flows.js";
import { makeParty, partyName } from "./calls.js";
import { RestError, accountPath } from "./rest.js";
import { t } from "./strings.js";

/** Stands for all pivot points of the account. */
export const ALL_POINTS = "*";

/** The most questions that wait; other clients answer further ones. */
const MAX_QUESTIONS = 20;

/** How long the end of a question may be on its way, after its time is over. */
const GRACE_MS = 2000;

/**
 * Events: "change", when there are other questions, or one has another state; "asked" (`detail` is the
 * question); "ended" (`detail` is `{question, text}`), with the result.
 */
export class AskMe extends EventTarget {
  /** `clock()` returns milliseconds; `peopleOf()` the people of the account. */
  constructor({ socket, rest, account }, settings, peopleOf = () => [], clock = () => performance.now()) {
    super();
    Object.assign(this, { socket, rest, accountId: account.id, settings, peopleOf, clock });
    /** Oldest first; see `onRequest`. */
    this.questions = [];
    /** The pivot points of the account, oldest first; null until they are loaded. */
    this.points = null;
    this.bindings = [];
    this.onSettings = ({ detail }) => detail === "askFor" && this.apply();
    settings.addEventListener("change", this.onSettings);
  }

  /** Whether the operator has selected pivot points. */
  get isOn() {
    return this.settings.get("askFor").length > 0;
  }

  /** Subscribe to what the operator has chosen. */
  start() {
    if (this.isOn) this.apply();
  }

  dispose() {
    this.settings.removeEventListener("change", this.onSettings);
    this.questions = [];
  }

  apply() {
    const wanted = this.settings.get("askFor").filter((name) => typeof name === "string").map((name) => `pivot.${name}`);
    const bindings = wanted.includes(`pivot.${ALL_POINTS}`) ? [`pivot.${ALL_POINTS}`] : wanted;
    const [added, removed] = [without(bindings, this.bindings), without(this.bindings, bindings)];
    this.bindings = bindings;
    if (removed.length) this.socket.removeBindings(removed);
    if (added.length) this.socket.addBindings(added);
    this.dispatchEvent(new Event("change"));
  }

  /** Load the pivot points. Throws `RestError`. */
  async load() {
    this.points = await this.rest.get(accountPath(this.accountId, "pivots"), { paginate: "false" });
  }

  /** Load the fallback of a question's pivot point: that of an earlier question may have changed since. */
  async loadFallback(question) {
    try {
      await this.load();
      const point = this.points.find(({ name }) => name === question.pointName);
      if (point === undefined) throw new RestError(404, "");
      // The URL is a secret, and is not kept.
      const { fallback = null } = await this.rest.get(accountPath(this.accountId, "pivots", point.id));
      question.fallback = fallback;
    } catch (error) {
      if (!(error instanceof RestError)) throw error;
      question.isFallbackLost = true;
    }
    this.dispatchEvent(new Event("change"));
  }

  /** Milliseconds that remain for an answer. */
  remaining({ deadline }) {
    return Math.max(0, deadline - this.clock());
  }

  // -- events

  /** Follow an event of a pivot point. */
  onEvent({ name, data }) {
    if (name === "pivot_request") this.onRequest(data);
    else if (name === "pivot_answered") this.onAnswered(data);
  }

  onRequest(data) {
    const { pivot_id: id, pivot_name: pointName, answer_within_ms: within } = data;
    // Both the pivot point and all of them may be subscribed to for a moment.
    if (!this.bindings.length || this.questions.length >= MAX_QUESTIONS) return;
    if (this.questions.some((question) => question.id === id)) return;
    const question = {
      id,
      pointName,
      callId: data.call_id,
      caller: makeParty(data.caller_id_name, data.caller_id_number ?? data.from),
      dialled: data.to ?? data.request ?? "",
      digits: typeof data.digits === "string" ? data.digits : "",
      within,
      deadline: this.clock() + within,
      /** Whether an answer is under way. */
      isBusy: false,
      /** Why the last answer was refused. */
      error: "",
      /** The flow of the pivot point; null for none, undefined as long as it is not known. */
      fallback: undefined,
      /** Whether the fallback could not be loaded. */
      isFallbackLost: false,
    };
    this.questions.push(question);
    this.loadFallback(question);
    this.dispatchEvent(new CustomEvent("asked", { detail: question }));
    this.dispatchEvent(new Event("change"));
  }

  onAnswered({ pivot_id: id, result, answered_by: by, flow }) {
    const question = this.questions.find((one) => one.id === id);
    // The answer of this page ends with the reply to it.
    if (question === undefined || (question.isBusy && by?.socket_id === this.socket.socketId)) return;
    this.end(question, this.endText(question, result, by, flow));
  }

  endText({ caller }, result, by, flow) {
    const values = { caller: partyName(caller) };
    if (result !== "answered") return t("ask.timeout", values);
    const who = by?.name ?? t("ask.other");
    return flow ? t("ask.answeredTo", { ...values, who, target: describeFlow(flow, this.peopleOf()) }) : t("ask.answered", { ...values, who });
  }

  /** End the questions whose time is over, even if the event of their end was lost. */
  tick() {
    for (const question of [...this.questions]) {
      if (this.clock() > question.deadline + GRACE_MS) this.end(question, this.endText(question, "timeout"));
    }
  }

  // -- the operator

  /** Answer a question with a flow. Resolves to whether KAZOO gets it. */
  async answer(question, flow) {
    if (question.isBusy || !this.questions.includes(question)) return false;
    Object.assign(question, { isBusy: true, error: "" });
    this.dispatchEvent(new Event("change"));
    try {
      await this.socket.answerPivot(question.id, flow, this.settings.get("phone")?.name ?? "");
    } catch (error) {
      Object.assign(question, { isBusy: false, error: error.message });
      this.dispatchEvent(new Event("change"));
      return false;
    }
    const target = describeFlow(flow, this.peopleOf());
    this.end(question, t("ask.sent", { caller: partyName(question.caller), target }));
    return true;
  }

  /** Leave a question to other clients, or to the fallback. */
  dismiss(question) {
    if (!this.questions.includes(question)) return;
    this.questions = this.questions.filter((one) => one !== question);
    this.dispatchEvent(new Event("change"));
  }

  end(question, text) {
    if (!this.questions.includes(question)) return;
    this.dismiss(question);
    this.dispatchEvent(new CustomEvent("ended", { detail: { question, text } }));
  }
}

const without = (list, others) => list.filter((item) => !others.includes(item));
