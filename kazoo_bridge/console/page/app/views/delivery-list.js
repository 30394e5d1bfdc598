/** Deliveries of a webhook that are pending or dead letters, and their replay. */

import { toLocalInput } from "../attempt-filters.js";
import { formatDateTime, toGregorian } from "../clock.js";
import { confirmDialog } from "../dialogs.js";
import { h, setText, singleClickButton } from "../dom.js";
import { relativeTime } from "../relative-time.js";
import { t } from "../strings.js";
import { notify, withErrorToast } from "../toasts.js";
import { waitingReason } from "../webhook-state.js";
import { PagedList } from "./paged-list.js";

/** The default start of the period whose dead letters are replayed: a day ago. */
const DEFAULT_REPLAY_PERIOD_MS = 24 * 3600 * 1000;

export class DeliveryList {
  /**
   * `path(...segments)` builds a path below the webhook; `status` is "pending" or "dead"; `sender` sends the
   * deliveries.
   */
  constructor(rest, path, status, sender) {
    Object.assign(this, { rest, path, status, sender });
    this.isDead = status === "dead";
    const fetchPage = (query) => this.fetch(status, query);
    const emptyText = () =>
      this.isDead
        ? [t("deliveries.noDead"), t("deliveries.noDeadDetail")]
        : [t("deliveries.noPending"), t("deliveries.noPendingDetail")];
    this.list = new PagedList(fetchPage, (delivery) => this.row(delivery), emptyText, "inbox");
    this.notice = h("p", { class: "notice", role: "status" });
    this.replayAll = h("button", { type: "submit" }, t("deliveries.replayAll"));
    this.form = this.isDead ? this.replayForm() : null;
    this.element = h("div", {}, this.notice, this.form, this.list.element);
  }

  async load() {
    await this.list.load();
    // There is nothing to replay.
    if (this.form) this.form.hidden = !this.list.items.length;
  }

  /** Show what the state of the webhook means for its deliveries: a disabled one sends nothing. */
  showHook(hook) {
    setText(this.notice, this.isDead ? "" : waitingReason(hook));
    setText(this.replayAll, t(this.sender.isDisabled ? "deliveries.enableAndReplayAll" : "deliveries.replayAll"));
    for (const control of this.element.querySelectorAll("button[data-retry]")) {
      setText(control, this.retryLabel());
    }
  }

  retryLabel() {
    return this.sender.label(t(this.isDead ? "attempts.replay" : "deliveries.retryNow"));
  }

  fetch(status, query) {
    return this.rest.request("GET", this.path("deliveries"), { query: { ...query, status } });
  }

  replayForm() {
    const input = h("input", { type: "datetime-local", required: true });
    input.value = toLocalInput(new Date(Date.now() - DEFAULT_REPLAY_PERIOD_MS));
    const onSubmit = async (event) => {
      event.preventDefault();
      const since = toGregorian(new Date(input.value));
      const time = formatDateTime(since);
      const enables = this.sender.isDisabled;
      const detail = [enables && t("deliveries.isEnabled"), t("deliveries.replayDetail", { time })];
      const label = t(enables ? "deliveries.enableAndReplay" : "attempts.replay");
      if (!(await confirmDialog(t("deliveries.replayQuestion"), label, detail.filter(Boolean).join(" ")))) return;
      await withErrorToast(t("deliveries.notReplayed"), async () => {
        if (enables) await this.sender.enable();
        const { recovered } = await this.rest.send("POST", this.path("deliveries", "recover"), { since });
        notify(recovered ? t("deliveries.replaying", { count: recovered }) : t("deliveries.noneFailed", { time }));
        await this.load();
      });
    };
    return h(
      "form",
      { class: "toolbar", onsubmit: onSubmit, hidden: true },
      h("label", { class: "check" }, t("deliveries.since"), input),
      this.replayAll,
    );
  }

  row(delivery) {
    const next = delivery.next_attempt && !this.sender.isDisabled;
    const payload = JSON.stringify(delivery.payload, null, 2);
    return h(
      "div",
      { class: "record" },
      h(
        "details",
        {},
        h(
          "summary",
          {},
          h("b", {}, delivery.hook_event),
          h("span", { class: "event-summary" }, delivery.reason || t("deliveries.notAttempted")),
          h(
            "span",
            { class: "record-facts" },
            h("small", {}, t("deliveries.attempts", { count: delivery.attempts })),
            next && h("small", {}, t("deliveries.next"), " ", relativeTime(delivery.next_attempt)),
            relativeTime(delivery.created),
          ),
        ),
        h("pre", { tabindex: "0", "aria-label": t("deliveries.payload") }, payload),
      ),
      singleClickButton(this.retryLabel(), () => this.retry(delivery), { "data-retry": true }),
    );
  }

  async retry({ id }) {
    await this.sender.retry(id);
    await this.load();
  }
}
