/** The dialog that shows a caller, and asks the operator where the call goes. */

import { flowToAnnouncement, flowToChoice, flowToPark, flowToVoicemail } from "../ask-flows.js";
import { partyName } from "../calls.js";
import { callerFacts } from "../caller-facts.js";
import { openDialog } from "../dialogs.js";
import { button, h, runOnce, setAttribute, setText } from "../dom.js";
import { formatNumber } from "../numbers.js";
import { personOptions } from "../person-options.js";
import { t } from "../strings.js";
import { notify } from "../toasts.js";
import { Combobox } from "./combobox.js";

const MAX_OPTIONS = 5;
const COUNTDOWN_INTERVAL_MS = 100;

/** Keys choose only after this long without one: what is typed as the dialog opens was meant for something else. */
const QUIET_MS = 500;

/** Show the questions, one at a time, and the ends of others; returns a function that ends it. */
export function followQuestions(operator) {
  const { askMe } = operator;
  let shown = null;
  const show = () => {
    if (shown && askMe.questions.includes(shown.question)) shown.update();
    else {
      shown?.close();
      shown = askMe.questions.length ? new AskDialog(askMe.questions[0], operator) : null;
    }
  };
  const onEnded = ({ detail }) => notify(detail.text);
  askMe.addEventListener("change", show);
  askMe.addEventListener("ended", onEnded);
  return () => {
    askMe.removeEventListener("change", show);
    askMe.removeEventListener("ended", onEnded);
    shown?.close();
  };
}

class AskDialog {
  constructor(question, operator) {
    Object.assign(this, { question, operator, askMe: operator.askMe });
    this.quietUntil = 0;
    const { people } = operator;
    this.person = new Combobox({
      label: t("ask.person"),
      placeholder: t("transfer.placeholder"),
      optionsOf: (text) => personOptions(people.list().filter(({ userId }) => userId), text, MAX_OPTIONS),
      isValue: (text) => flowToChoice({ value: text, option: null }) !== null,
      onSubmit: () => this.toPerson(),
    });
    this.connect = h("button", { type: "submit", class: "primary" }, t("ask.connect"));
    this.choices = [
      ["v", "ask.voicemail", () => this.voicemail],
      ["k", "ask.park", flowToPark],
      ["a", "ask.announcement", () => flowToAnnouncement(operator.settings.get("askAnnouncement"))],
      ["u", "ask.asUsual", () => question.fallback ?? null],
    ].map(([key, label, flow]) => ({ key, flow, control: this.choiceButton(key, label, flow) }));
    this.progress = h("progress", { max: String(question.within), "aria-label": t("ask.timeLeft") });
    this.seconds = h("span", { class: "ask-seconds" });
    this.more = h("p", { class: "hint", role: "status" });
    this.error = h("p", { class: "error-text", role: "alert" });
    this.note = h("p", { class: "hint" }, t("ask.keys"));
    this.element = h(
      "div",
      { class: "ask", tabindex: "-1", role: "group", "aria-label": t("ask.choose") },
      h("p", {}, t("ask.calls", { number: formatNumber(question.dialled), point: question.pointName })),
      h("div", { class: "ask-countdown" }, this.progress, this.seconds),
      this.facts(),
      h(
        "form",
        {
          class: "ask-person",
          onsubmit: (event) => {
            event.preventDefault();
            runOnce(this.connect, () => this.toPerson());
          },
        },
        this.person.element,
        this.connect,
      ),
      h("div", { class: "buttons start" }, this.choices.map(({ control }) => control)),
      this.error,
      this.more,
      this.note,
    );
    const title = t("ask.title", { caller: partyName(question.caller) });
    const options = { persistent: true, className: "ask-dialog", onClose: () => this.onClosed() };
    this.dialog = openDialog(title, this.element, options);
    this.quietUntil = performance.now() + QUIET_MS;
    // Before other listeners, so that a key of the quiet time presses no button and closes nothing.
    this.dialog.addEventListener("keydown", (event) => this.onKeyDown(event), { capture: true });
    this.timer = setInterval(() => this.tick(), COUNTDOWN_INTERVAL_MS);
    this.update();
    this.element.focus();
  }

  choiceButton(key, label, flow) {
    const name = t(label);
    return button([name, " ", h("kbd", { "aria-hidden": "true" }, key.toUpperCase())], () => this.choose(flow()), {
      "aria-keyshortcuts": key.toUpperCase(),
    });
  }

  facts() {
    const { caller, digits } = this.question;
    const facts = callerFacts(caller.number, this.operator);
    if (digits) facts.push(t("ask.fact.digits", { digits }));
    return h("ul", { class: "ask-facts" }, facts.map((fact) => h("li", {}, fact)));
  }

  get voicemail() {
    return flowToVoicemail(this.operator.settings.get("askVoicemail"), this.question.fallback);
  }

  update() {
    const { question, askMe } = this;
    for (const { key, control, flow } of this.choices) {
      setAttribute(control, "aria-disabled", question.isBusy || flow() === null);
      setAttribute(control, "title", flow() === null ? this.hint(key) : null);
    }
    setAttribute(this.connect, "aria-disabled", question.isBusy);
    if (question.error) setText(this.error, t("ask.refused", { reason: question.error }));
    const others = askMe.questions.length - 1;
    setText(this.more, others ? t("ask.more", { count: others }) : "");
    const fallbackNote = question.isFallbackLost ? t("ask.fallbackUnknown") : t("ask.noFallback");
    const isUsual = question.fallback || (question.fallback === undefined && !question.isFallbackLost);
    setText(this.note, isUsual ? t("ask.keys") : `${t("ask.keys")} ${fallbackNote}`);
    this.tick();
  }

  /** Why a choice leads nowhere. */
  hint(key) {
    const needsFallback = ["u", "v"].includes(key);
    return t(needsFallback && this.question.fallback === undefined ? "ask.fallbackUnknown" : "ask.notSetUp");
  }

  tick() {
    const left = this.askMe.remaining(this.question);
    this.progress.value = left;
    setText(this.seconds, t("ask.seconds", { count: Math.ceil(left / 1000) }));
    setAttribute(this.element, "data-quiet", performance.now() < this.quietUntil ? "true" : null);
    setAttribute(this.element, "data-late", left < this.question.within / 4 ? "true" : null);
  }

  onKeyDown(event) {
    const { key, repeat, ctrlKey, metaKey, altKey, target } = event;
    if (performance.now() < this.quietUntil) {
      this.quietUntil = performance.now() + QUIET_MS;
      if (key !== "Tab") {
        event.preventDefault();
        event.stopPropagation();
      }
      return;
    }
    if (repeat || ctrlKey || metaKey || altKey || target === this.person.input) return;
    const letter = key.toLowerCase();
    const choice = this.choices.find((one) => one.key === letter);
    if (letter === "p") this.person.input.focus();
    else if (choice) choice.control.click();
    else return;
    event.preventDefault();
  }

  toPerson() {
    const { choice } = this.person;
    const flow = flowToChoice(choice, this.voicemail);
    if (flow) return this.choose(flow);
    setText(this.error, t("ask.noSuchPerson"));
    this.person.input.focus();
    return undefined;
  }

  async choose(flow) {
    if (flow === null) return;
    setText(this.error, "");
    await this.askMe.answer(this.question, flow);
  }

  close() {
    this.dialog.close();
  }

  onClosed() {
    clearInterval(this.timer);
    this.askMe.dismiss(this.question);
  }
}
