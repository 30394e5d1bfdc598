/** How urgent a call is, by the time it has been in its state. */

/** The states that have thresholds, and the most seconds that one may have. */
export const TIMED_STATES = ["ringing", "held", "parked", "answered"];
export const MAX_THRESHOLD_S = 86400;

/** Return "late", "warning", or "" for a call that has been in a state for some seconds. */
export function urgency(state, seconds, thresholds) {
  const [warning, late] = thresholds[state] ?? [0, 0];
  if (late > 0 && seconds >= late) return "late";
  return warning > 0 && seconds >= warning ? "warning" : "";
}

/** Return thresholds with one changed; the second is never below the first, unless it is off. */
export function withThreshold(thresholds, state, index, seconds) {
  const pair = [...thresholds[state]];
  pair[index] = Math.min(MAX_THRESHOLD_S, Math.max(0, Math.floor(Number(seconds)) || 0));
  const other = 1 - index;
  if (pair[0] && pair[1] && pair[0] > pair[1]) pair[other] = pair[index];
  return { ...thresholds, [state]: pair };
}
