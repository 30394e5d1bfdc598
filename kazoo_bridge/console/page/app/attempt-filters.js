/** Filters of lists of attempts: what the user has chosen, as the server's query. */

import { toGregorian } from "./clock.js";

/**
 * Return the query of the filters `{result, event, from, to, call}`. `from` and `to` are values of inputs of type
 * datetime-local: local time without a zone. Empty values do not filter.
 */
export function attemptQuery({ result = "", event = "", from = "", to = "", call = "" }) {
  const time = (text) => (text && !Number.isNaN(Date.parse(text)) ? toGregorian(new Date(text)) : "");
  const query = {
    filter_result: result,
    filter_event: event,
    filter_call_id: call,
    created_from: time(from),
    created_to: time(to),
  };
  return Object.fromEntries(
    Object.entries(query)
      .filter(([, value]) => value !== "")
      .map(([name, value]) => [name, String(value)]),
  );
}

/** Format a date for an input of type datetime-local. */
export function toLocalInput(date) {
  return new Date(date.getTime() - date.getTimezoneOffset() * 60000).toISOString().slice(0, 16);
}

/** Return the name of the event of an attempt: its type, and in brackets what exactly has happened. */
export function attemptEvent({ event, hook_event: hookEvent, req_body: body = "" }) {
  const payload = bodyFields(body);
  // A test of a webhook on all events has no event of its own.
  const name = event ?? (hookEvent === "all" && payload.hook_event ? String(payload.hook_event) : hookEvent);
  const detail = [payload.action, payload.event_name ?? payload.event].find(
    (value) => typeof value === "string" && value && value.toLowerCase() !== name?.toLowerCase(),
  );
  return detail ? `${name} (${detail})` : name;
}

/** Return the fields of the body of a request, JSON or a form; none of one that was cut or is neither. */
export function bodyFields(body) {
  try {
    const fields = JSON.parse(body);
    return fields !== null && typeof fields === "object" ? fields : {};
  } catch {
    return Object.fromEntries(new URLSearchParams(/^[^\s=&]+=/.test(body) ? body : ""));
  }
}
