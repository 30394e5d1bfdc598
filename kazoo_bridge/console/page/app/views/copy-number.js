/** Telephone numbers that are copied with a click. */

import { copyText } from "../clipboard.js";
import { setAttribute } from "../dom.js";
import { t } from "../strings.js";
import { notify, notifyError } from "../toasts.js";

/** Make an element copy a number with a click; null for none. */
export function setNumber(element, number) {
  setAttribute(element, "data-number", number || null);
  setAttribute(element, "title", number ? t("common.copyIt", { what: number }) : null);
}

/** Copy the number of an element; none for undefined. */
export async function copyNumber(element) {
  if (!element) return;
  const { number } = element.dataset;
  const select = () => getSelection().selectAllChildren(element);
  if (await copyText(number, select)) notify(t("common.copied", { what: number }));
  else notifyError(t("common.noCopying"));
}
