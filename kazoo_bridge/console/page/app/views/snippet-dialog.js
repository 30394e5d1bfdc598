/** The dialog with code for the receiver of a webhook: a test request, and the verification of signatures. */

import { loadSamples } from "../catalogue.js";
import { openDialog } from "../dialogs.js";
import { h } from "../dom.js";
import { sampleCurl } from "../snippets.js";
import { t } from "../strings.js";
import { VERIFICATION_CODE } from "../verification-code.js";
import { codeBlock } from "./code-block.js";

/** A hook on all events gets the sample of this one. */
const DEFAULT_EVENT = "channel_create";

/** Open the dialog for a webhook. */
export async function openSnippets(rest, hook) {
  const samples = await loadSamples(rest, hook.hook).catch(() => []);
  const [payload] = samples.length ? samples : await loadSamples(rest, DEFAULT_EVENT).catch(() => []);
  const code = VERIFICATION_CODE[hook.signature] ?? VERIFICATION_CODE.hmac;
  openDialog(
    t("snippets.title"),
    h(
      "div",
      {},
      payload && [h("p", {}, t("snippets.request")), codeBlock("curl", sampleCurl(hook, payload))],
      h("p", {}, t(hook.signed ? "snippets.verify" : "snippets.notSigned")),
      Object.entries(code).map(([language, text]) => codeBlock(language, text)),
    ),
    { wide: true },
  );
}
