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

/** Set a preference, and return whether it is stored: some browsers store nothing, or no more. */
export function setPreference(name, value) {
  try {
    localStorage.setItem(KEY_PREFIX + name, JSON.stringify(value));
    return true;
  } catch {
    return false;
  }
}

/** Call `callback(name)` when another tab has set a preference; return a function that ends this. */
export function followPreferences(callback) {
  const listener = ({ key }) => key?.startsWith(KEY_PREFIX) && callback(key.slice(KEY_PREFIX.length));
  globalThis.addEventListener("storage", listener);
  return () => globalThis.removeEventListener("storage", listener);
}
