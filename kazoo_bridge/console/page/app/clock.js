/** Times: Gregorian seconds, as KAZOO counts them, by the server's clock. */

/** Seconds from the year 0 to 1970. */
const GREGORIAN = 62167219200;

let ahead = 0;

/** Learn how far the server's clock is ahead of this machine's, from a time that it has just told (ISO 8601). */
export function learnTime(iso) {
  const server = Date.parse(iso);
  // Below a few seconds it is more likely the way of the answer than the clock.
  if (!Number.isNaN(server)) ahead = Math.abs(server - Date.now()) > 3000 ? server - Date.now() : 0;
}

/** Now, in Gregorian seconds. */
export function now() {
  return (Date.now() + ahead) / 1000 + GREGORIAN;
}

/** A Date of this machine as Gregorian seconds of the server's clock. */
export function toGregorian(date) {
  return Math.floor((date.getTime() + ahead) / 1000) + GREGORIAN;
}

const dateOf = (gregorian) => new Date((gregorian - GREGORIAN) * 1000 - ahead);

const timeFormat = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hourCycle: "h23",
});
const momentFormat = new Intl.DateTimeFormat(undefined, {
  dateStyle: "medium",
  timeStyle: "medium",
  hourCycle: "h23",
});

/** The time of day. */
export function timeOfDay(gregorian) {
  return timeFormat.format(dateOf(gregorian));
}

/** Date and time. */
export function moment(gregorian) {
  return gregorian ? momentFormat.format(dateOf(gregorian)) : "never";
}

/** How long something lasts: 0:07, 12:30, 1:02:45. */
export function duration(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60), whole % 60];
  const two = (number) => String(number).padStart(2, "0");
  return hours ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}
