/** Conversions between webhook documents and the fields of the webhook form. */

import { t } from "./strings.js";

/** What the server shows instead of a secret value, such as that of a header. */
export const MASK = "********";

/** Set a property, or delete it when the value is empty: the server treats a missing property as unset. */
export function setOrDelete(document, name, value) {
  if (value === "" || value === null) delete document[name];
  else document[name] = value;
}

/** Return the number that a field's text stands for; empty for none. */
export function parseNumber(text) {
  return text === "" ? "" : Number(text);
}

/**
 * Return the changes that make `next` of the document `previous`, as the server's PATCH takes them: properties
 * are replaced as a whole, null removes one. What has not changed is left out, for headers each of them, so
 * their masks are not sent.
 */
export function documentChanges(previous, next) {
  const changes = changedProperties(previous, next);
  if (isObject(changes.headers) && isObject(previous.headers)) {
    changes.headers = changedProperties(previous.headers, next.headers);
  }
  return changes;
}

/**
 * Return what to say when a document was changed meanwhile: `previous` into `theirs`, while `changes` (of
 * `documentChanges`) were to be made.
 */
export function conflictText(previous, changes, theirs) {
  const both = Object.keys(documentChanges(previous, theirs)).filter((name) => Object.hasOwn(changes, name));
  const start = t("form.conflict");
  if (!both.length) return `${start} ${t("form.conflictOthers")}`;
  const describe = (name) => {
    const value = theirs[name];
    if (value === undefined) return t("form.nowUnset", { name });
    return isObject(value) || Array.isArray(value) ? name : t("form.nowValue", { name, value: JSON.stringify(value) });
  };
  return `${start} ${t("form.conflictBoth", { names: both.map(describe).join(", ") })}`;
}

function changedProperties(previous, next) {
  const changes = {};
  for (const name of Object.keys(previous)) if (!Object.hasOwn(next, name)) changes[name] = null;
  for (const [name, value] of Object.entries(next)) {
    const before = Object.hasOwn(previous, name) ? previous[name] : undefined;
    if (JSON.stringify(value) !== JSON.stringify(before)) changes[name] = value;
  }
  return changes;
}

const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);

/** Return the errors of the entries of an editor of `field`, by field name: missing and doubled keys. */
export function entryErrors(field, entries) {
  const errors = {};
  const seen = new Set();
  for (const [key, value] of entries) {
    if (!key && value) errors[field] = t("form.nameless");
    if (key && seen.has(key)) errors[`${field}.${key}`] = t("form.twice");
    seen.add(key);
  }
  return errors;
}

/**
 * Return headers as the server stores their names: in lower case. Throws an error with `fields` for a mask
 * that is not that of a stored header: the value of a renamed header must be entered again.
 */
export function headersOf(entries, stored = {}) {
  const headers = {};
  const fields = {};
  for (const [name, value] of entries) {
    const lower = name.toLowerCase();
    const path = `headers.${name}`;
    if (Object.hasOwn(headers, lower)) fields[path] = t("form.headerTwice");
    if (value === MASK && !Object.hasOwn(stored, lower)) fields[path] = t("form.again");
    headers[lower] = value;
  }
  if (Object.keys(fields).length) throw Object.assign(new Error("invalid headers"), { fields });
  return headers;
}

/** Return the names and values of the options that differ from what the server does without them. */
export function optionTexts(hook) {
  const filters = Object.entries(hook.modifiers ?? {}).map(
    ([key, value]) => `${key}: ${formatFilterValue(value)}`,
  );
  const texts = [
    [t("form.filters"), filters.join("; ")],
    [t("form.headers"), Object.keys(hook.headers ?? {}).join(", ")],
    [t("form.successCodes"), (hook.success_codes ?? []).join(", ")],
    [t("form.timeoutShort"), hook.timeout_ms && `${hook.timeout_ms} ms`],
    [t("form.scheduleShort"), formatSchedule(hook.retry_schedule_s) && scheduleText(hook.retry_schedule_s)],
    [t("form.maxAgeShort"), hook.max_age_s && `${hook.max_age_s} s`],
    [t("form.rateLimitShort"), hook.rate_limit && t("form.perSecond", { rate: hook.rate_limit })],
  ];
  return texts.filter(([, text]) => text);
}

const scheduleText = (delays) => (delays.length ? `${delays.join(", ")} s` : t("form.noSchedule"));

/** Return the object, or null when it has no properties. */
export function nullIfEmpty(object) {
  return Object.keys(object).length ? object : null;
}

/** Format a filter's value, or list of values, as text: JSON if it is or contains an object. */
export function formatFilterValue(value) {
  const values = [value].flat();
  return values.some((one) => one !== null && typeof one === "object")
    ? JSON.stringify(value)
    : values.join(", ");
}

/**
 * Parse a filter's text. Several values, separated by commas, become a list of alternatives; `true` and
 * `false` become booleans. Numbers stay text, like in the payloads of calls. Text that begins with a brace or
 * a bracket is JSON, such as the operators `{"$prefix": "+49"}`; throws `SyntaxError` if it is not, or if a
 * property is null, which would remove it.
 *
 * Text that still is the formatted `previous` value returns that value, which may be a number.
 */
export function parseFilterValue(text, previous) {
  if (previous !== undefined && formatFilterValue(previous) === text) return previous;
  if (/^\s*[{[]/.test(text)) return JSON.parse(text, refuseNull);
  const values = parseList(text).map((value) => ({ true: true, false: false })[value] ?? value);
  return values.length === 1 ? values[0] : values;
}

function refuseNull(_, value) {
  if (value === null && !Array.isArray(this)) throw new SyntaxError("null");
  return value;
}

/** Split text at commas, and leave out empty items. */
export function parseList(text) {
  return text
    .split(",")
    .map((item) => item.trim())
    .filter(Boolean);
}

/** Parse the text of success codes: codes or classes of them; null for none. */
export function parseSuccessCodes(text) {
  return nullIfEmpty(parseList(text.toLowerCase()));
}

/** Return what is wrong with the text of a URL, by field name; no text is for the server to refuse. */
export function urlError(text) {
  const isHttp = URL.canParse(text) && /^https?:\/\/[^\s]+$/.test(text);
  return isHttp || text === "" ? {} : { uri: t("form.url") };
}

/** Return what is wrong with the texts of success codes and of a retry schedule, by field name. */
export function listErrors(successCodes, schedule) {
  const errors = {};
  if (!(parseSuccessCodes(successCodes) ?? []).every((code) => /^[2-5](\d\d|xx)$/.test(code))) {
    errors.success_codes = t("form.codes");
  }
  if (!(parseSchedule(schedule) ?? []).every(Number.isInteger)) {
    errors.retry_schedule_s = t("form.seconds");
  }
  return errors;
}

/** Format a retry schedule, which may be empty or unset, as text. */
export function formatSchedule(delays) {
  return delays?.length === 0 ? "none" : (delays ?? []).join(", ");
}

/** Parse the text of a retry schedule: delays, whose range the server checks, `none`, or nothing: null. */
export function parseSchedule(text) {
  if (/^\s*none\s*$/i.test(text)) return [];
  const delays = parseList(text).map((item) => (/^\d+$/.test(item) ? Number(item) : item));
  return delays.length ? delays : null;
}

/** Return the options {value: label} of a modifier of the catalogue, with "all" first. */
export function modifierOptions({ items }) {
  const options = Array.isArray(items)
    ? items.map((value) => [value, value === "all" ? t("form.all") : value])
    : Object.entries(items ?? {}).map(([value, { friendly_name: label }]) => [value, label ?? value]);
  return Object.fromEntries([["all", t("form.all")], ...options]);
}

/** Return the entries of an object except those with the given keys. */
export function entriesWithout(object, keys) {
  return Object.entries(object ?? {}).filter(([key]) => !keys.includes(key));
}
