/** Time in Gregorian seconds, the unit of KAZOO's documents, on the server's clock. */

import { locale, t } from "./strings.js";

/** Seconds from the year 0 to 1970. */
const GREGORIAN_EPOCH_OFFSET_S = 62167219200;

/** Smaller differences are attributed to network latency and ignored. */
const MIN_CLOCK_OFFSET_MS = 3000;

let offsetMs = 0;

/** Adopt the server's clock from a timestamp (ISO 8601) that it has just sent; ignore invalid ones. */
export function syncClock(timestamp) {
  const difference = Date.parse(timestamp) - Date.now();
  if (!Number.isNaN(difference)) offsetMs = Math.abs(difference) > MIN_CLOCK_OFFSET_MS ? difference : 0;
}

/** The current time of the server, in Gregorian seconds. */
export function now() {
  return (Date.now() + offsetMs) / 1000 + GREGORIAN_EPOCH_OFFSET_S;
}

/** Convert a `Date` of this machine to whole Gregorian seconds on the server's clock. */
export function toGregorian(date) {
  return Math.floor((date.getTime() + offsetMs) / 1000) + GREGORIAN_EPOCH_OFFSET_S;
}

/** Return a time of a document, in Gregorian seconds or ISO 8601, in Gregorian seconds; null for none. */
export function parseTime(value) {
  if (typeof value === "number") return value;
  const milliseconds = typeof value === "string" ? Date.parse(value) : NaN;
  return Number.isNaN(milliseconds) ? null : milliseconds / 1000 + GREGORIAN_EPOCH_OFFSET_S;
}

const toDate = (gregorian) => new Date((gregorian - GREGORIAN_EPOCH_OFFSET_S) * 1000 - offsetMs);

const timeFormat = new Intl.DateTimeFormat(locale, {
  hour: "numeric",
  minute: "2-digit",
  second: "2-digit",
});
const dateTimeFormat = new Intl.DateTimeFormat(locale, {
  dateStyle: "medium",
  timeStyle: "medium",
});

const relativeFormat = new Intl.RelativeTimeFormat(locale, { numeric: "auto", style: "short" });

/** Seconds of the units of relative times, and how many of them to count. */
const RELATIVE_UNITS = [
  ["second", 1, 60],
  ["minute", 60, 60],
  ["hour", 3600, 24],
  ["day", 86400, 7],
];

/** Format Gregorian seconds as the time that has passed since or until then; as a date after a week. */
export function formatRelative(gregorian) {
  if (!gregorian) return t("common.never");
  const seconds = gregorian - now();
  const unit = RELATIVE_UNITS.find(([, size, count]) => Math.abs(seconds) < size * count);
  if (!unit) return formatDateTime(gregorian);
  const [name, size] = unit;
  return relativeFormat.format(Math.trunc(seconds / size), name);
}

/** Format Gregorian seconds as local time of day. */
export function formatTime(gregorian) {
  return timeFormat.format(toDate(gregorian));
}

/** Format Gregorian seconds as local date and time; "never" for 0 and null. */
export function formatDateTime(gregorian) {
  return gregorian ? dateTimeFormat.format(toDate(gregorian)) : t("common.never");
}

/** Format a duration in seconds: 0:07, 12:30, 1:02:45. Negative durations become 0:00. */
export function formatDuration(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60), whole % 60];
  const pad = (number) => String(number).padStart(2, "0");
  return hours ? `${hours}:${pad(minutes)}:${pad(rest)}` : `${minutes}:${pad(rest)}`;
}
