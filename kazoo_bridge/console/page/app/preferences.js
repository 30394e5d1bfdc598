/** Preferences of this browser. They stay after the tab is closed; none is secret. */

const KEY_PREFIX = "kazoo-bridge-console.";

/** Return a preference; `fallback` when it is not set, or when the browser stores nothing. */
export function preference(name, fallback) {
  try {
    return JSON.parse(localStorage.getItem(KEY_PREFIX + name)) ?? fallback;
  } catch {
    return fallback;
  }
}

/** Set a preference. In a browser that stores nothing it has no effect. */
export function setPreference(name, value) {
  try {
    localStorage.setItem(KEY_PREFIX + name, JSON.stringify(value));
  } catch {
    // The browser stores nothing, for example because its user does not want it.
  }
}
