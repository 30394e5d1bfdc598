/** A text of several lines, such as code, with a button that copies it. */

import { copyText } from "../clipboard.js";
import { button, h } from "../dom.js";
import { icon } from "../icons.js";
import { t } from "../strings.js";
import { notify, notifyError } from "../toasts.js";

/** Create the element of a text; `label` says what it is. */
export function codeBlock(label, text) {
  const code = h("pre", { tabindex: "0", "aria-label": label }, text);
  const copy = button(
    [icon("copy"), t("common.copy")],
    async () => {
      if (await copyText(text, () => getSelection().selectAllChildren(code))) notify(t("common.copied", { what: label }));
      else notifyError(t("common.noCopying"));
    },
    { class: "quiet", "aria-label": t("common.copyIt", { what: label }) },
  );
  return h("div", { class: "code-block" }, h("p", {}, h("b", {}, label), copy), code);
}
