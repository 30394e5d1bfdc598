/** Which account is looked at; resellers can look at those below them. */

import { openDialog } from "../dialogs.js";
import { button, h, setAttribute, setText } from "../dom.js";
import { accountPath } from "../rest.js";
import { sayProblem } from "../saying.js";

/** More than these nobody reads; a longer search finds the others. */
const MOST_SHOWN = 100;

export class AccountSwitcher {
  constructor(rest, session, onSwitch) {
    Object.assign(this, { rest, session, onSwitch });
    this.offered = false;
    this.name = h("span", { class: "account-name" }, session.account.name);
    this.element = h("span", { class: "account" }, this.name);
    this.offer();
  }

  /** Those who have nobody below them are not offered a choice of one. */
  async offer() {
    if (this.offered) return;
    const { principal, account } = this.session;
    let below = account.id !== principal.id;
    try {
      below ||=
        (await this.rest.get(accountPath(principal.id, "descendants"), { page_size: "1" })).length > 0;
    } catch {
      // The page says elsewhere that the server is away; when it is back, this is tried again.
    }
    if (!below || this.offered) return;
    this.offered = true;
    this.element.replaceChildren(
      button([this.name, " ▾"], () => this.open(), {
        "aria-haspopup": "dialog",
        "aria-label": `Account ${account.name}, switch`,
      }),
    );
  }

  /** The account is looked at no longer. */
  dispose() {
    this.gone = true;
  }

  async open() {
    if (this.opening) return;
    this.opening = true;
    let accounts;
    try {
      accounts = await this.load();
    } catch (error) {
      if (!this.gone) sayProblem(`The accounts cannot be listed: ${error.message}`);
      return;
    } finally {
      this.opening = false;
    }
    if (this.gone) return;
    const list = h("ul", { class: "pick", role: "listbox", "aria-label": "Accounts", id: "accounts" });
    const count = h("p", { class: "hint", role: "status" });
    const search = h("input", {
      type: "search",
      "aria-label": "Search accounts by name, realm or id",
      placeholder: "Name, realm or id",
      role: "combobox",
      "aria-expanded": "true",
      "aria-controls": "accounts",
      "aria-autocomplete": "list",
      autocomplete: "off",
    });
    const dialog = openDialog("Switch account", [search, count, list], { extraClass: "switcher" });
    const choose = (account) => {
      dialog.close();
      if (account.id !== this.session.account.id)
        this.onSwitch({ id: account.id, name: account.name || account.id });
    };
    let active = 0;
    let shown = [];
    const mark = (at) => {
      active = Math.max(0, Math.min(at, shown.length - 1));
      [...list.children].forEach((option, index) =>
        setAttribute(option, "data-active", index === active ? "true" : null),
      );
      list.children[active]?.scrollIntoView({ block: "nearest" });
      setAttribute(search, "aria-activedescendant", list.children[active]?.id ?? null);
    };
    const filter = () => {
      const found = matching(accounts, search.value);
      shown = found.slice(0, MOST_SHOWN);
      list.replaceChildren(...shown.map((account, at) => this.option(account, at, choose)));
      setText(
        count,
        found.length > shown.length
          ? `${found.length} accounts, the first ${shown.length} are shown`
          : `${found.length} ${found.length === 1 ? "account" : "accounts"}`,
      );
      mark(0);
    };
    search.addEventListener("input", filter);
    search.addEventListener("keydown", (event) => {
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (step) {
        event.preventDefault();
        mark(active + step);
      } else if (event.key === "Enter" && shown[active]) {
        event.preventDefault();
        choose(shown[active]);
      }
    });
    filter();
    search.focus();
  }

  async load() {
    const { principal } = this.session;
    const below = await this.rest.get(accountPath(principal.id, "descendants"), { paginate: "false" });
    const depthOf = (account) => account.tree.length - account.tree.indexOf(principal.id);
    return [
      { ...principal, realm: "", depth: 0 },
      ...below.map((account) => ({ ...account, depth: depthOf(account) })),
    ];
  }

  option(account, at, choose) {
    const current = account.id === this.session.account.id;
    return h(
      "li",
      {
        role: "option",
        id: `account-${at}`,
        "aria-selected": String(current),
        onclick: () => choose(account),
      },
      h("span", {}, account.name || account.id),
      h("small", {}, [account.realm, account.id].filter(Boolean).join(" · ")),
    );
  }
}

function matching(accounts, typed) {
  const words = typed.toLowerCase().split(/\s+/).filter(Boolean);
  return accounts.filter(({ name, realm, id }) => {
    const text = `${name} ${realm} ${id}`.toLowerCase();
    return words.every((word) => text.includes(word));
  });
}
