/** The dialog that replays the deliveries of a webhook in a span of time: choose, find, confirm, run. */

import { attemptQuery, toLocalInput } from "../attempt-filters.js";
import { openDialog } from "../dialogs.js";
import { button, h, runOnce, setText, uniqueId } from "../dom.js";
import { SpanReplay } from "../span-replay.js";
import { t } from "../strings.js";
import { notify, notifyError } from "../toasts.js";

const DEFAULT_SPAN_MS = 3600 * 1000;

const RESULTS = [
  ["failure", "replay.failedOnly"],
  ["success", "replay.deliveredOnly"],
  ["", "replay.all"],
];

/** Open the dialog; `enable()` enables the webhook if it is disabled. Resolves when it is closed. */
export function openReplay(rest, path, enable) {
  return new Promise((resolve) => {
    const form = new ReplayForm(rest, path, enable, () => dialog.close());
    const onClose = () => {
      form.replay?.stop();
      resolve();
    };
    const dialog = openDialog(t("replay.title"), form.element, { persistent: true, onClose });
    form.from.focus();
  });
}

class ReplayForm {
  constructor(rest, path, enable, close) {
    Object.assign(this, { rest, path, enable, close });
    const now = new Date();
    this.from = this.time(new Date(now.getTime() - DEFAULT_SPAN_MS));
    this.to = this.time(now);
    this.result = h("select", {}, RESULTS.map(([value, key]) => h("option", { value }, t(key))));
    this.status = h("p", { role: "status" });
    this.error = h("p", { class: "error-text", role: "alert" });
    this.findButton = h("button", { type: "submit" }, t("replay.find"));
    this.startButton = button("", () => this.start(), { class: "primary", hidden: true });
    this.stopButton = button(t("replay.stop"), () => this.replay.stop(), { hidden: true });
    const field = (label, input) => {
      input.id = uniqueId("field");
      return h("div", { class: "field" }, h("label", { for: input.id }, label), input);
    };
    this.element = h(
      "form",
      { class: "hook-form", novalidate: true, onsubmit: (event) => this.onSubmit(event), oninput: () => this.reset() },
      h("p", { class: "hint" }, t("replay.hint")),
      h(
        "div",
        { class: "fields" },
        field(t("attempts.from"), this.from),
        field(t("attempts.to"), this.to),
        field(t("replay.result"), this.result),
      ),
      this.status,
      this.error,
      h("div", { class: "buttons" }, this.findButton, this.stopButton, this.startButton),
    );
  }

  time(date) {
    return h("input", { type: "datetime-local", required: true, value: toLocalInput(date) });
  }

  /** Other criteria find other deliveries. */
  reset() {
    this.replay?.stop();
    this.replay = null;
    this.attempts = null;
    this.startButton.hidden = true;
    setText(this.status, "");
    setText(this.error, "");
  }

  onSubmit(event) {
    event.preventDefault();
    runOnce(this.findButton, () => this.find());
  }

  async find() {
    this.reset();
    const query = attemptQuery({ from: this.from.value, to: this.to.value, result: this.result.value });
    if (!(Number(query.created_from) <= Number(query.created_to))) {
      setText(this.error, t("replay.order"));
      this.to.focus();
      return;
    }
    const replay = new SpanReplay(this.rest, this.path, query);
    this.replay = replay;
    const isCurrent = () => this.replay === replay;
    try {
      const { attempts, isMore } = await replay.find((count) => {
        if (isCurrent()) setText(this.status, t("replay.finding", { count }));
      });
      if (isCurrent()) this.showFound(attempts, isMore);
    } catch (error) {
      if (!isCurrent()) return;
      setText(this.status, "");
      setText(this.error, error.message);
    }
  }

  showFound(attempts, isMore) {
    const count = attempts.length;
    const found = count ? t("replay.found", { count }) : t("replay.noneFound");
    setText(this.status, isMore ? t("replay.foundMost", { count }) : found);
    this.attempts = attempts;
    this.startButton.hidden = !count;
    setText(this.startButton, t("replay.start", { count }));
    if (count) this.startButton.focus();
  }

  async start() {
    const { attempts, replay } = this;
    const count = attempts.length;
    this.stopButton.hidden = false;
    this.startButton.hidden = this.findButton.hidden = true;
    this.disableFields(true);
    try {
      await this.enable();
      const result = await replay.run(attempts, (done) => setText(this.status, t("replay.running", { done, count })));
      if (result.replayed) notify(t("replay.done", { count: result.replayed }));
      if (result.refused) notifyError(t("replay.refused", { count: result.refused, reason: result.reason }));
      this.close();
    } catch (error) {
      setText(this.error, error.message);
      this.findButton.hidden = false;
    }
    this.disableFields(false);
    this.stopButton.hidden = true;
  }

  disableFields(isDisabled) {
    for (const input of [this.from, this.to, this.result]) input.disabled = isDisabled;
  }
}
