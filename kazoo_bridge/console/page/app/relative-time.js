/** Elements that show how long ago something was, and the exact time on hover. */

import { formatDateTime, formatRelative } from "./clock.js";
import { h, setAttribute, setText } from "./dom.js";

/** Create the element of a time in Gregorian seconds; 0 and null are "never". */
export function relativeTime(gregorian) {
  const element = h("time", {});
  setRelativeTime(element, gregorian);
  return element;
}

/** Show another time on an element of `relativeTime`. */
export function setRelativeTime(element, gregorian) {
  setAttribute(element, "data-at", gregorian || null);
  setAttribute(element, "title", gregorian ? formatDateTime(gregorian) : null);
  setText(element, formatRelative(gregorian));
}

/** Let time pass on the elements below `root`. */
export function updateRelativeTimes(root) {
  for (const element of root.querySelectorAll("time[data-at]")) {
    setText(element, formatRelative(Number(element.getAttribute("data-at"))));
  }
}
