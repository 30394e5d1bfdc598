/** Telephone numbers that are copied with a click. */

import { copyText } from "../clipboard.js";
import { setAttribute } from "../dom.js";
import { notify, notifyError } from "../toasts.js";

/** Make an element copy a number with a click; null for none. */
export function setNumber(element, number) {
  setAttribute(element, "data-number", number || null);
  setAttribute(element, "title", number ? `Copy ${number}` : null);
}

/** Copy the number of an element; none for undefined. */
export async function copyNumber(element) {
  if (!element) return;
  const { number } = element.dataset;
  const select = () => getSelection().selectAllChildren(element);
  if (await copyText(number, select)) notify(`${number} copied`);
  else notifyError("The browser does not allow copying: copy the selected number with Ctrl+C");
}
