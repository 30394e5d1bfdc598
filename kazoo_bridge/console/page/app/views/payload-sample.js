/** The sample payload of an event, and its keys as suggestions for filters. */

import { loadSamples, payloadKeys } from "../catalogue.js";
import { h, setText, uniqueId } from "../dom.js";
import { t } from "../strings.js";

export class PayloadSample {
  constructor(rest) {
    this.rest = rest;
    /** The id of the list of keys, for the attribute `list` of inputs. */
    this.keysId = uniqueId("keys");
    this.keys = h("datalist", { id: this.keysId });
    this.json = h("pre", { tabindex: "0", "aria-label": t("form.sample") });
    this.details = h("details", { class: "sample", hidden: true }, h("summary", {}, t("form.sample")), this.json);
    this.element = h("div", {}, this.keys, this.details);
  }

  /** Show the sample of an event; of several, the first. */
  async show(event) {
    this.event = event;
    const samples = await loadSamples(this.rest, event).catch(() => []);
    // Another event may have been chosen meanwhile.
    if (event !== this.event) return;
    this.details.hidden = !samples.length;
    setText(this.json, samples.length ? JSON.stringify(samples[0], null, 2) : "");
    this.keys.replaceChildren(...payloadKeys(samples).map((key) => h("option", { value: key })));
  }
}
