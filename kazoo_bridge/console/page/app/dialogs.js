/** Dialogs: modal, closed with Escape, and focus goes back to where it was. */

import { button, freshId, h } from "./dom.js";
import { freeMessages } from "./saying.js";

/** Open a dialog with this content. It has `close()`; `onClose` is called once, however it was closed. */
export function openDialog(title, content, { onClose = () => {}, wide = false, extraClass = "" } = {}) {
  const titleId = freshId("title");
  const before = document.activeElement;
  const dialog = h(
    "dialog",
    { "aria-labelledby": titleId, class: `${wide ? "wide " : ""}${extraClass}`.trim() || null },
    h("header", { class: "dialog-head" }, h("h2", { id: titleId }, title), button("✕", () => dialog.close(), { class: "plain", "aria-label": "Close" })),
    h("div", { class: "dialog-body" }, content),
  );
  dialog.addEventListener("close", () => {
    freeMessages(dialog);
    dialog.remove();
    onClose();
    if (before?.isConnected) before.focus();
  });
  // A press on what is around the dialog closes it, as a press on Escape does.
  dialog.addEventListener("mousedown", (event) => {
    if (event.target === dialog) dialog.close();
  });
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/** Ask before something that cannot be undone; whether to do it. */
export function confirmed(question, verb, detail = "") {
  return new Promise((resolve) => {
    let answer = false;
    const yes = button(verb, () => {
      answer = true;
      dialog.close();
    }, { class: "danger" });
    const dialog = openDialog(
      question,
      [detail && h("p", {}, detail), h("div", { class: "buttons" }, button("Cancel", () => dialog.close()), yes)],
      { onClose: () => resolve(answer) },
    );
    yes.focus();
  });
}
