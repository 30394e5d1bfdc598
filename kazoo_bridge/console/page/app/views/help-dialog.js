/** The dialog that lists the keyboard shortcuts. */

import { openDialog } from "../dialogs.js";
import { h } from "../dom.js";
import { areOn, turn } from "../shortcuts.js";
import { t } from "../strings.js";
import { TABLE_SHORTCUTS } from "./calls.js";

/** Open the dialog; `views` are the titles of the views, by number from 1. */
export function openHelp(views) {
  const everywhere = [
    ["/", t("help.search")],
    ["↓ Enter", t("help.toResults")],
    ...views.map((title, index) => [String(index + 1), title]),
    ["?", t("help.help")],
    ["Esc", t("help.escape")],
  ];
  const onchange = ({ target }) => turn(target.checked);
  const toggle = h("input", { type: "checkbox", checked: areOn(), onchange });
  openDialog(
    t("help.title"),
    h(
      "div",
      { class: "help" },
      section(t("help.everywhere"), everywhere),
      h("label", {}, toggle, t("help.toggle")),
      section(t("help.calls"), TABLE_SHORTCUTS),
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
