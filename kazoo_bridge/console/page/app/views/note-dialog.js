/** The note about the other party of a call. */

import { openDialog } from "../dialogs.js";
import { button, h } from "../dom.js";
import { formatNumber } from "../numbers.js";
import { t } from "../strings.js";

/** Open the note about the party outside, or about the caller of an internal call. */
export function openNoteDialog(call, notes) {
  const party = call.direction === "outbound" ? call.callee : call.caller;
  openNumberNote(party.number, party.name, notes);
}

/** Open the note about a number. */
export function openNumberNote(number, name, notes) {
  if (!number) return;
  const text = h("textarea", { rows: "3", maxlength: "500", value: notes.of(number) });
  const save = () => {
    notes.write(number, text.value);
    dialog.close();
  };
  const form = h(
    "form",
    {
      class: "note-form",
      onsubmit: (event) => {
        event.preventDefault();
        save();
      },
      onkeydown: (event) => {
        if (event.key !== "Enter" || event.shiftKey || event.repeat || event.target !== text) return;
        event.preventDefault();
        save();
      },
    },
    h("label", {}, h("span", {}, t("note.label")), text),
    h("p", { class: "hint" }, t("note.hint")),
    h(
      "div",
      { class: "buttons" },
      button(t("common.cancel"), () => dialog.close()),
      h("button", { type: "submit", class: "primary" }, t("common.save")),
    ),
  );
  const shown = formatNumber(number);
  const dialog = openDialog(t("note.title", { party: name ? `${name} (${shown})` : shown }), form, {
    persistent: true,
    isChanged: () => text.value !== notes.of(number),
  });
  text.focus();
}
