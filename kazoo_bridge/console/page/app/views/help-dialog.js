/** The dialog that lists the keyboard shortcuts. */

import { openDialog } from "../dialogs.js";
import { h } from "../dom.js";
import { areOn, turn } from "../shortcuts.js";
import { TABLE_SHORTCUTS } from "./calls.js";

/** Open the dialog; `views` are the titles of the views, by number from 1. */
export function openHelp(views) {
  const everywhere = [
    ["/", "search"],
    ["↓ Enter", "from the search to the results"],
    ...views.map((title, index) => [String(index + 1), title]),
    ["?", "this help"],
    ["Esc", "close a dialog, clear a search"],
  ];
  const onchange = ({ target }) => turn(target.checked);
  const toggle = h("input", { type: "checkbox", checked: areOn(), onchange });
  openDialog(
    "Keyboard shortcuts",
    h(
      "div",
      { class: "help" },
      section("Everywhere", everywhere),
      h("label", {}, toggle, "Single keys everywhere (kept in this browser)"),
      section("In the table of calls", TABLE_SHORTCUTS),
    ),
  );
}

function section(title, shortcuts) {
  const rows = shortcuts.map(([keys, description]) => [
    h(
      "dt",
      {},
      keys.split(" ").map((key) => [h("kbd", {}, key), " "]),
    ),
    h("dd", {}, description),
  ]);
  return h("section", {}, h("h3", {}, title), h("dl", { class: "properties" }, rows));
}
