/** Which pivot points ask this operator, and what the choices lead to. */

import { ALL_POINTS } from "../ask-me.js";
import { openDialog } from "../dialogs.js";
import { h, setText } from "../dom.js";
import { t } from "../strings.js";

/** Open the settings. They are kept at once, in this browser. */
export function openAskSettings({ askMe, settings }) {
  const list = h("fieldset", {}, h("legend", {}, t("ask.points")), h("p", { role: "status" }, t("common.loading")));
  const text = (name, placeholder) => {
    const input = h("input", {
      type: "text",
      maxlength: "1000",
      placeholder,
      value: settings.get(name),
      onchange: () => settings.set(name, input.value.trim()),
    });
    return input;
  };
  const field = (label, input, hint) => h("label", { class: "field" }, h("span", {}, label), input, h("small", {}, hint));
  openDialog(
    t("ask.button"),
    h(
      "div",
      { class: "settings" },
      h("p", {}, t("ask.about")),
      list,
      field(t("ask.voicemailBox"), text("askVoicemail", ""), t("ask.voicemailHint")),
      field(t("ask.announcementText"), text("askAnnouncement", t("ask.announcementExample")), t("ask.announcementHint")),
      h("p", { class: "hint" }, t("preferences.kept")),
    ),
    { wide: true },
  );
  showPoints(list, askMe, settings);
}

async function showPoints(list, askMe, settings) {
  const note = list.querySelector("p");
  try {
    await askMe.load();
  } catch (error) {
    setText(note, t("common.cannotList", { reason: error.message }));
    return;
  }
  const names = askMe.points.map(({ name }) => name);
  if (!names.length) {
    setText(note, t("ask.noPoints"));
    return;
  }
  const checkbox = (value, label) => {
    const input = h("input", {
      type: "checkbox",
      checked: settings.get("askFor").includes(value),
      onchange: () => settings.setIncluded("askFor", value, input.checked),
    });
    return h("label", { class: "check" }, input, label);
  };
  note.remove();
  list.append(checkbox(ALL_POINTS, t("ask.allPoints")), ...names.map((name) => checkbox(name, name)));
}
