/** The settings of this browser: theme, density, language and keyboard. */

import { APPEARANCE, appearance, setAppearance } from "../appearance.js";
import { openDialog } from "../dialogs.js";
import { h, uniqueId } from "../dom.js";
import { icon } from "../icons.js";
import { setPreference } from "../preferences.js";
import { areOn, turn } from "../shortcuts.js";
import { language, languageNames, t } from "../strings.js";

const ICONS = { system: "monitor", light: "sun", dark: "moon" };

/** Open the dialog. */
export function openSettings() {
  const shortcuts = h("input", {
    type: "checkbox",
    checked: areOn(),
    onchange: ({ target }) => turn(target.checked),
  });
  openDialog(
    t("settings.title"),
    h(
      "div",
      { class: "settings" },
      Object.keys(APPEARANCE).map(choice),
      languageField(),
      h("label", { class: "check", "data-keyboard": true }, shortcuts, t("settings.shortcuts")),
      h("p", { class: "hint" }, t("settings.hint")),
    ),
  );
}

function choice(setting) {
  const name = uniqueId(setting);
  const options = APPEARANCE[setting].map((value) => {
    const input = h("input", {
      type: "radio",
      name,
      value,
      checked: value === appearance(setting),
      onchange: () => setAppearance(setting, value),
    });
    return h("label", {}, input, ICONS[value] && icon(ICONS[value]), t(`settings.${setting}.${value}`));
  });
  return h(
    "fieldset",
    {},
    h("legend", {}, t(`settings.${setting}`)),
    h("div", { class: "segmented" }, options),
  );
}

function languageField() {
  const names = Object.entries(languageNames());
  if (names.length < 2) return null;
  const options = names.map(([code, name]) =>
    h("option", { value: code, lang: code, selected: code === language }, name),
  );
  const onchange = ({ target }) => {
    setPreference("language", target.value);
    location.reload();
  };
  const id = uniqueId("language");
  return h(
    "div",
    { class: "field" },
    h("label", { for: id }, t("settings.language")),
    h("select", { id, onchange }, options),
  );
}
