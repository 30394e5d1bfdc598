/** Dialogs: modal, closed with Escape, and focus goes back to where it was. */

import { button, focusView, freshId, h } from "./dom.js";
import { freeMessages } from "./saying.js";

/**
 * Open a dialog with this content. It has `close()`; `onClose` is called once, however it was closed. `keeps`: it has what somebody has
 * written, and is not closed by a press beside it.
 */
export function openDialog(
  title,
  content,
  { onClose = () => {}, wide = false, keeps = false, extraClass = "" } = {},
) {
  const titleId = freshId("title");
  const before = document.activeElement;
  const dialog = h(
    "dialog",
    { "aria-labelledby": titleId, class: `${wide ? "wide " : ""}${extraClass}`.trim() || null },
    h(
      "header",
      { class: "dialog-head" },
      h("h2", { id: titleId }, title),
      button("✕", () => dialog.close(), { class: "plain", "aria-label": "Close" }),
    ),
    h("div", { class: "dialog-body" }, content),
  );
  dialog.addEventListener("close", () => {
    freeMessages(dialog);
    dialog.remove();
    onClose();
    before?.focus();
    // What opened it may have gone meanwhile, as a call does, or can be pressed no longer.
    if (before === null || document.activeElement !== before) focusView();
  });
  // A press on what is around the dialog closes it, as a press on Escape does. Its own scroll bar and edges are not around it.
  dialog.addEventListener("mousedown", ({ target, clientX, clientY }) => {
    const { left, right, top, bottom } = dialog.getBoundingClientRect();
    const outside = clientX < left || clientX > right || clientY < top || clientY > bottom;
    if (target === dialog && outside && !keeps) dialog.close();
  });
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/** Ask before something that cannot be undone; whether to do it. */
export function confirmed(question, verb, detail = "") {
  return new Promise((resolve) => {
    let answer = false;
    const yes = button(
      verb,
      () => {
        answer = true;
        dialog.close();
      },
      { class: "danger" },
    );
    const dialog = openDialog(
      question,
      [
        detail && h("p", {}, detail),
        h(
          "div",
          { class: "buttons" },
          button("Cancel", () => dialog.close()),
          yes,
        ),
      ],
      { onClose: () => resolve(answer) },
    );
    yes.focus();
  });
}
