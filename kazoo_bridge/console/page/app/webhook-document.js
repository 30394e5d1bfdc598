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

/** Format a filter's value, or list of values, as text. */
export function formatFilterValue(value) {
  return [value].flat().join(", ");
}

/**
 * Parse a filter's text. Several values, separated by commas, become a list of alternatives; `true` and
 * `false` become booleans. Numbers stay text, like in the payloads of calls.
 *
 * Text that still is the formatted `previous` value returns that value, which may be a number.
 */
export function parseFilterValue(text, previous) {
  if (previous !== undefined && formatFilterValue(previous) === text) return previous;
  const values = text
    .split(",")
    .map((value) => value.trim())
    .filter(Boolean)
    .map((value) => ({ true: true, false: false })[value] ?? value);
  return values.length === 1 ? values[0] : values;
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
