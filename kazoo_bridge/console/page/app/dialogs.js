/** Modal dialogs. Escape closes them, and focus returns to the element that had it before. */

import { button, ensureFocus, h, setText, uniqueId } from "./dom.js";
import { icon } from "./icons.js";
import { t } from "./strings.js";
import { detachToasts } from "./toasts.js";

/**
 * Open a dialog and return it; it has `close()` and `setTitle(text)`.
 *
 * `onClose` is called once, however the dialog is closed. A `persistent` dialog holds user input or a secret,
 * so a click outside does not close it. While `isChanged()` is true, the user is asked before the dialog is
 * closed by Escape or its ✕; `close()` does not ask.
 */
export function openDialog(
  title,
  content,
  { onClose = () => {}, wide = false, persistent = false, className = "", isChanged = () => false } = {},
) {
  const heading = h("h2", { id: uniqueId("title") }, title);
  const previousFocus = document.activeElement;
  const dialog = h(
    "dialog",
    {
      "aria-labelledby": heading.getAttribute("id"),
      class: `${wide ? "wide " : ""}${className}`.trim() || null,
    },
    h(
      "header",
      { class: "dialog-header" },
      heading,
      button(icon("x"), () => leave(), { class: "quiet icon-only", "aria-label": t("common.close") }),
    ),
    h("div", { class: "dialog-body" }, content),
  );
  dialog.setTitle = (text) => setText(heading, text);
  let isAsking = false;
  const ask = (event) => {
    event.preventDefault();
    leave();
  };
  const leave = async () => {
    if (isAsking) return;
    isAsking = true;
    const leaves = !isChanged() || (await confirmDialog(t("dialog.discard"), t("dialog.discardIt"), t("dialog.discardDetail")));
    isAsking = false;
    if (leaves) dialog.close();
  };
  // Browsers close a dialog at the second Escape even if the first was prevented, so the key itself is.
  dialog.addEventListener("keydown", (event) => event.key === "Escape" && isChanged() && ask(event));
  dialog.addEventListener("cancel", (event) => event.target === dialog && isChanged() && ask(event));
  dialog.addEventListener("close", () => {
    detachToasts(dialog);
    dialog.remove();
    onClose();
    previousFocus?.focus();
    // The opener may have been removed or disabled meanwhile, like the row of a call that has ended.
    if (previousFocus === null || document.activeElement !== previousFocus) ensureFocus();
  });
  // Clicks on the backdrop have the dialog as their target, but so do clicks on its scroll bar and border.
  dialog.addEventListener("mousedown", ({ target, clientX, clientY }) => {
    const { left, right, top, bottom } = dialog.getBoundingClientRect();
    const outside = clientX < left || clientX > right || clientY < top || clientY > bottom;
    if (target === dialog && outside && !persistent) dialog.close();
  });
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/**
 * Ask for confirmation of an irreversible action; `detail` is a text or an element. Resolves to whether the
 * user confirmed.
 */
export function confirmDialog(question, confirmLabel, detail = "") {
  return new Promise((resolve) => {
    let confirmed = false;
    const confirm = button(
      confirmLabel,
      () => {
        confirmed = true;
        dialog.close();
      },
      { class: "danger" },
    );
    const dialog = openDialog(
      question,
      [
        typeof detail === "string" ? detail && h("p", {}, detail) : detail,
        h(
          "div",
          { class: "buttons" },
          button(t("common.cancel"), () => dialog.close()),
          confirm,
        ),
      ],
      { onClose: () => resolve(confirmed) },
    );
    confirm.focus();
  });
}
