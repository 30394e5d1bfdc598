/** Toasts: short notifications that screen readers announce. */

import { button, h, openDialogs, setText } from "./dom.js";
import { icon } from "./icons.js";
import { t } from "./strings.js";

const SUCCESS_DURATION_MS = 6000;

/** Errors take longer to read, and may call for action. */
const ERROR_DURATION_MS = 15000;

const MAX_TOASTS = 4;

const toastRegion = () => document.getElementById("toasts");

/** Show a notification. */
export function notify(text) {
  showToast(text, "success", SUCCESS_DURATION_MS);
}

/** Show an error. */
export function notifyError(text) {
  showToast(text, "error", ERROR_DURATION_MS);
}

/**
 * Show a notification of something under way. It stays until the result replaces it: that of `succeed`,
 * `fail`, or `inform` when the result is not known. `update` changes its text, `dismiss` removes it.
 */
export function notifyProgress(text) {
  let toast = showToast(text, "pending");
  const settle = (kind, durationMs) => (result) => {
    toast.remove();
    toast = showToast(result, kind, durationMs);
  };
  return {
    update: (newText) => setText(toast.firstChild, newText),
    succeed: settle("success", SUCCESS_DURATION_MS),
    fail: settle("error", ERROR_DURATION_MS),
    inform: settle("info", SUCCESS_DURATION_MS),
    dismiss: () => toast.remove(),
  };
}

/** Run an async operation and show a toast when it throws. Returns whether it succeeded. */
export async function withErrorToast(label, operation) {
  try {
    await operation();
    return true;
  } catch (error) {
    notifyError(`${label}: ${error.message}`);
    return false;
  }
}

/** Move toasts out of a dialog that is about to be removed. */
export function detachToasts(dialog) {
  const region = toastRegion();
  if (dialog.contains(region)) document.body.append(region);
}

/** Show a toast, and return it; without a duration it stays. */
function showToast(text, kind, durationMs = 0) {
  const region = toastRegion();
  // A modal dialog covers everything outside of it and hides it from screen readers.
  const dialog = openDialogs().at(-1);
  if (dialog && !dialog.contains(region)) dialog.append(region);
  const toast = h(
    "div",
    { class: `toast ${kind}` },
    h("span", {}, text),
    button(icon("x"), () => toast.remove(), { class: "quiet icon-only", "aria-label": t("common.dismiss") }),
  );
  region.append(toast);
  while (region.children.length > MAX_TOASTS) region.firstChild.remove();
  if (durationMs) setTimeout(() => toast.remove(), durationMs);
  return toast;
}
