/** Describes whether a webhook sends, and if not, why and until when; orders webhooks by that. */

import { formatDuration, now, parseTime } from "./clock.js";
import { t } from "./strings.js";

/** Return the label, the kind of badge, and a detail (may be empty) of a webhook's state. */
export function webhookState(hook) {
  if (hook.enabled !== false) {
    const isFailing = Boolean(hook.health?.failures_in_window);
    return {
      label: t(isFailing ? "hookState.failing" : "hookState.enabled"),
      kind: isFailing ? "warning" : "success",
      detail: missedText(hook),
    };
  }
  if (!isSuspended(hook)) {
    const detail = [hook.disable_reason, missedText(hook)].filter(Boolean).join("; ");
    return { label: t("hookState.disabled"), kind: "error", detail };
  }
  const waiting = hook.health?.deliveries_waiting;
  const parts = [
    waiting !== undefined && t("hookState.waiting", { count: waiting }),
    probeText(hook),
    missedText(hook),
  ];
  return {
    label: t("hookState.suspended"),
    kind: "error",
    detail: `${t("hookState.suspendedDetail")}; ${parts.filter(Boolean).join(", ")}`,
  };
}

/** Return how many webhooks the server has disabled, because their receivers fail; `hooks` may be null. */
export function failedCount(hooks) {
  return (hooks ?? []).filter(isDown).length;
}

/** Why what waits for a webhook is not sent; empty when it is. */
export function waitingReason(hook) {
  if (hook.enabled !== false) return "";
  return t(isSuspended(hook) ? "hookState.suspendedReason" : "hookState.disabledReason");
}

/** Return the webhooks in the order in which they need attention, then by name. */
export function byAttention(hooks) {
  const urgency = (hook) => {
    if (isDown(hook)) return 0;
    if (hook.enabled !== false) return hook.health?.failures_in_window ? 1 : 2;
    return 3;
  };
  return [...hooks].sort(
    (left, right) => urgency(left) - urgency(right) || left.name.localeCompare(right.name) || (left.id < right.id ? -1 : 1),
  );
}

/** Whether all words of a search are in the name, event, URL or id of a webhook. */
export function fitsHookSearch(hook, search) {
  const text = `${hook.name} ${hook.hook} ${hook.uri} ${hook.id}`.toLowerCase();
  return search
    .toLowerCase()
    .split(/\s+/)
    .every((word) => text.includes(word));
}

/** The share of a webhook's attempts that succeeded, from 0 to 1; null without attempts. */
export function successShare({ successes = 0, failures = 0 }) {
  return successes + failures ? successes / (successes + failures) : null;
}

/** Format a share as whole per cent: only all are 100 %, and only none are 0 %. */
export function formatShare(share) {
  const rounded = Math.round(share * 100);
  const percent = share > 0 && share < 1 ? Math.min(99, Math.max(1, rounded)) : rounded;
  return t("hooks.share", { percent });
}

/** Disabled by the server, because its receiver fails. */
const isDown = (hook) => hook.enabled === false && Boolean(hook.disable_reason);

/** The server probes the receiver of a suspended webhook, and enables it when the probe succeeds. */
const isSuspended = (hook) => Boolean(hook.disable_reason) && parseTime(hook.health?.next_probe) !== null;

function probeText(hook) {
  const seconds = parseTime(hook.health.next_probe) - now();
  return seconds > 0 ? t("hookState.probeIn", { time: formatDuration(seconds) }) : t("hookState.probedNow");
}

const missedText = ({ health }) =>
  health?.events_missed ? t("hookState.missed", { count: health.events_missed }) : "";
