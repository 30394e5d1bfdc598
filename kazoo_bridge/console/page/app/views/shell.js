/** The page around the views: navigation, header, and the element that holds the view. */

import { button, h, setAttribute, setText } from "../dom.js";
import { icon } from "../icons.js";
import { t } from "../strings.js";

export class Shell {
  /**
   * `views` is [{route, title, icon}]; `switcher` and `connection` show the account and the connection;
   * `actions` has `onHelp`, `onSettings` and `onSignOut`.
   */
  constructor(views, switcher, connection, { onHelp, onSettings, onSignOut }) {
    this.views = views;
    this.main = h("main", { id: "view", tabindex: "-1" });
    this.badges = new Map();
    this.links = views.map(({ route, title, icon: name }) => {
      const badge = h("span", { class: "badge error", hidden: true });
      this.badges.set(route, badge);
      return h("a", { href: `#/${route}` }, icon(name), h("span", {}, title), " ", badge);
    });
    const logo = h("img", { src: "icon.svg", alt: t("app.name"), width: "32", height: "32" });
    const tool = (name, label, onclick, attributes = {}) =>
      button(icon(name), onclick, { class: "quiet icon-only", "aria-label": label, title: label, ...attributes });
    const skip = (event) => {
      event.preventDefault();
      this.main.focus();
    };
    this.element = h(
      "div",
      { class: "console" },
      h("a", { class: "skip-link", href: "#view", onclick: skip }, t("app.skip")),
      h(
        "header",
        { class: "app-header" },
        switcher.element,
        h(
          "div",
          { class: "header-tools" },
          connection.broker,
          connection.element,
          tool("keyboard", t("help.title"), onHelp, { "data-keyboard": true, "data-wide": true }),
          tool("settings", t("settings.title"), onSettings),
          tool("log-out", t("app.signOut"), onSignOut),
        ),
      ),
      h("nav", { class: "rail", "aria-label": t("app.views") }, h("span", { class: "brand" }, logo), this.links),
      connection.banner,
      this.main,
    );
  }

  /** Show the element of a view, and mark its route as the current one. */
  show(route, element) {
    this.main.replaceChildren(element);
    this.links.forEach((link, index) => {
      setAttribute(link, "aria-current", this.views[index].route === route ? "page" : null);
    });
    this.main.focus({ preventScroll: true });
    this.element.scrollIntoView();
  }

  /** Show a short text beside the link of a view; empty for none. */
  setBadge(route, text, hint = "") {
    const badge = this.badges.get(route);
    badge.hidden = !text;
    setText(badge, text);
    setAttribute(badge, "title", hint);
  }
}
