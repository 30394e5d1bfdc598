/** Icons of the vendored sprite. They are decoration: a label beside them, or of their button, says the same. */

import { svg } from "./dom.js";

const SPRITE = new URL("../vendor/lucide/icons.svg", import.meta.url).href;

/** Create an icon by its name in the sprite (that of Lucide), with further attributes. */
export function icon(name, attributes = {}) {
  const use = svg("use", { href: `${SPRITE}#${name}` });
  return svg("svg", { class: "icon", "aria-hidden": "true", "data-icon": name, ...attributes }, use);
}

/** Show another icon on an element of `icon`. */
export function setIcon(element, name) {
  if (element.getAttribute("data-icon") === name) return;
  element.setAttribute("data-icon", name);
  element.firstChild.setAttribute("href", `${SPRITE}#${name}`);
}
