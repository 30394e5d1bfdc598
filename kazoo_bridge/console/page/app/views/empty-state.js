/** What stands in place of a list that shows nothing: why, and what to do about it. */

import { h, setText } from "../dom.js";
import { icon, setIcon } from "../icons.js";

export class EmptyState {
  /** `iconName` is an icon; `action` an element to act with, or null. */
  constructor(iconName, action = null) {
    this.iconName = iconName;
    this.icon = icon(iconName);
    this.title = h("strong", {});
    this.text = h("p", {});
    this.action = action;
    this.element = h("div", { class: "empty-state", role: "status", hidden: true }, this.icon, this.title, this.text, action);
  }

  /** Show a title and a text; without a title nothing is shown. `isOffer`: the action makes sense now. */
  show(title, text = "", { isOffer = false, iconName = this.iconName } = {}) {
    this.element.hidden = !title;
    setIcon(this.icon, iconName);
    setText(this.title, title);
    setText(this.text, text);
    this.text.hidden = !text;
    if (this.action) this.action.hidden = !isOffer;
  }
}
