/** A bar that shows which share of attempts succeeded. */

import { h, setAttribute, setText, svg } from "../dom.js";
import { t } from "../strings.js";
import { formatShare, successShare } from "../webhook-state.js";

/** Create a bar with its share as text; it has `update(health)`. */
export function shareBar() {
  const good = svg("rect", { class: "share-success", height: 6 });
  const bad = svg("rect", { class: "share-failure", height: 6 });
  const bar = svg(
    "svg",
    { class: "share-bar", viewBox: "0 0 100 6", preserveAspectRatio: "none", "aria-hidden": "true" },
    svg("rect", { width: 100, height: 6 }),
    good,
    bad,
  );
  const text = h("small", { class: "number" });
  const element = h("div", { class: "share" }, bar, text);
  element.update = (health) => {
    const share = successShare(health);
    setAttribute(good, "width", (share ?? 0) * 100);
    setAttribute(bad, "x", (share ?? 1) * 100);
    setAttribute(bad, "width", (1 - (share ?? 1)) * 100);
    setText(text, share === null ? t("hooks.noAttempts") : formatShare(share));
    setAttribute(element, "title", healthText(health));
  };
  return element;
}

/** Describe a webhook's attempts. */
export function healthText({ successes = 0, failures = 0 }) {
  return successes + failures ? t("hooks.attempts", { successes, failures }) : t("hooks.noAttempts");
}
