/** Describes whether a webhook sends, and if not, why and until when. */

import { formatDuration, now, parseTime } from "./clock.js";

const DISABLED_REASON = "The webhook is disabled, so what waits is not sent until it is enabled.";
const SUSPENDED_REASON =
  "The webhook is suspended because its receiver fails. What waits is sent when a probe succeeds, or when" +
  " you enable the webhook.";

const plural = (count, one, many) => `${count} ${count === 1 ? one : many}`;

/** Return the label, the kind of badge, and a detail (may be empty) of a webhook's state. */
export function webhookState(hook) {
  if (hook.enabled !== false) {
    const label = hook.health?.failures_in_window ? "Failing" : "Enabled";
    return { label, kind: label === "Failing" ? "warning" : "success", detail: missedText(hook) };
  }
  if (!isSuspended(hook)) {
    const detail = [hook.disable_reason, missedText(hook)].filter(Boolean).join("; ");
    return { label: "Disabled", kind: "error", detail };
  }
  const waiting = hook.health?.deliveries_waiting;
  const parts = [
    waiting !== undefined && `${plural(waiting, "event waits", "events wait")}`,
    probeText(hook),
    missedText(hook),
  ];
  return {
    label: "Suspended",
    kind: "error",
    detail: `its receiver fails; ${parts.filter(Boolean).join(", ")}`,
  };
}

/** Return how many webhooks the server has disabled, because their receivers fail; `hooks` may be null. */
export function failedCount(hooks) {
  return (hooks ?? []).filter((hook) => hook.enabled === false && hook.disable_reason).length;
}

/** Why what waits for a webhook is not sent; empty when it is. */
export function waitingReason(hook) {
  if (hook.enabled !== false) return "";
  return isSuspended(hook) ? SUSPENDED_REASON : DISABLED_REASON;
}

/** The server probes the receiver of a suspended webhook, and enables it when the probe succeeds. */
const isSuspended = (hook) => Boolean(hook.disable_reason) && parseTime(hook.health?.next_probe) !== null;

function probeText(hook) {
  const seconds = parseTime(hook.health.next_probe) - now();
  return seconds > 0 ? `next probe in ${formatDuration(seconds)}` : "probed now";
}

const missedText = ({ health }) => (health?.events_missed ? `${health.events_missed} missed` : "");
