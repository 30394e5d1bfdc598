/** Conversions between webhook documents and the fields of the webhook form. */

/** Set a property, or delete it when the value is empty: the server treats a missing property as unset. */
export function setOrDelete(document, name, value) {
  if (value) document[name] = value;
  else delete document[name];
}

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
 * a bracket is JSON, such as the operators `{"$prefix": "+49"}`; throws `SyntaxError` if it is not.
 *
 * Text that still is the formatted `previous` value returns that value, which may be a number.
 */
export function parseFilterValue(text, previous) {
  if (previous !== undefined && formatFilterValue(previous) === text) return previous;
  if (/^\s*[{[]/.test(text)) return JSON.parse(text);
  const values = parseList(text).map((value) => ({ true: true, false: false })[value] ?? value);
  return values.length === 1 ? values[0] : values;
}

/** Split text at commas, and leave out empty items. */
export function parseList(text) {
  return text
    .split(",")
    .map((item) => item.trim())
    .filter(Boolean);
}

/** Format a retry schedule, which may be empty or unset, as text. */
export function formatSchedule(delays) {
  return delays?.length === 0 ? "none" : (delays ?? []).join(", ");
}

/** Parse the text of a retry schedule: delays, which the server checks, `none`, or nothing, which is null. */
export function parseSchedule(text) {
  if (text.trim() === "none") return [];
  const delays = parseList(text).map((item) => (/^\d+$/.test(item) ? Number(item) : item));
  return delays.length ? delays : null;
}

/** Return the options {value: label} of a modifier of the catalogue, with "all" first. */
export function modifierOptions({ items }) {
  const options = Array.isArray(items)
    ? items.map((value) => [value, value === "all" ? "All" : value])
    : Object.entries(items ?? {}).map(([value, { friendly_name: label }]) => [value, label ?? value]);
  return Object.fromEntries([["all", "All"], ...options]);
}

/** Return the entries of an object except those with the given keys. */
export function entriesWithout(object, keys) {
  return Object.entries(object ?? {}).filter(([key]) => !keys.includes(key));
}
