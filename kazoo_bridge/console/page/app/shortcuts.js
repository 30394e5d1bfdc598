/**
 * The keyboard shortcuts of the whole page: single keys, so they can be turned off, which helps users of speech
 * input (WCAG 2.1.4).
 */

import { preference, setPreference } from "./preferences.js";

const PREFERENCE = "shortcuts";

/** Elements whose keys are text, or select an option. */
const TYPING = "select, textarea, input:not([type=checkbox], [type=radio])";

/** Whether the shortcuts of the whole page are on. */
export function areOn() {
  return preference(PREFERENCE, true);
}

/** Turn the shortcuts of the whole page on or off, in this browser. */
export function turn(on) {
  setPreference(PREFERENCE, on);
}

/**
 * Return what a `keydown` event asks for: "search", "help", the index of one of `viewCount` views, or null for
 * nothing. A held key asks once.
 */
export function shortcutOf({ key, repeat, ctrlKey, metaKey, altKey, defaultPrevented, target }, viewCount) {
  if (repeat || ctrlKey || metaKey || altKey || defaultPrevented || !areOn()) return null;
  if (target.closest?.(TYPING)) return null;
  if (key === "/") return "search";
  if (key === "?") return "help";
  const index = /^[1-9]$/.test(key) ? Number(key) - 1 : viewCount;
  return index < viewCount ? index : null;
}
