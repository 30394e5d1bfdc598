/** A text that cannot be changed, with a button that copies it. */

import { copyText } from "../clipboard.js";
import { button, h } from "../dom.js";
import { icon } from "../icons.js";
import { t } from "../strings.js";
import { notify, notifyError } from "../toasts.js";

/** Create the field of a text; it has `select()`. */
export function copyField(label, text) {
  const attributes = { type: "text", readonly: true, value: text, "aria-label": label, class: "secret" };
  const input = h("input", attributes);
  const copy = button(
    [icon("copy"), t("common.copy")],
    async () => {
      const copied = await copyText(text, () => input.select());
      if (!copied) {
        notifyError(t("common.noCopying"));
        return;
      }
      copy.focus();
      notify(t("common.copied", { what: label }));
    },
    { "aria-label": t("common.copyIt", { what: label.toLowerCase() }) },
  );
  const field = h("div", { class: "copy-field" }, input, copy);
  field.select = () => input.select();
  return field;
}
