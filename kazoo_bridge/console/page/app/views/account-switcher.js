/** Selects the account on display: the principal's own account or one of its descendants. */

import { openDialog } from "../dialogs.js";
import { button, h, setAttribute, setText } from "../dom.js";
import { icon } from "../icons.js";
import { accountPath } from "../rest.js";
import { t } from "../strings.js";
import { notifyError } from "../toasts.js";

const MAX_OPTIONS = 100;

export class AccountSwitcher {
  constructor(rest, session, onSwitch) {
    Object.assign(this, { rest, session, onSwitch });
    this.enabled = false;
    this.name = h("span", { class: "account-name" }, session.account.name);
    this.element = h("span", { class: "account" }, this.name);
    this.enable();
  }

  /** Show the switch button when the principal has descendants. */
  async enable() {
    if (this.enabled) return;
    const { principal, account } = this.session;
    let hasDescendants = account.id !== principal.id;
    try {
      const path = accountPath(principal.id, "descendants");
      hasDescendants ||= (await this.rest.get(path, { page_size: "1" })).length > 0;
    } catch {
      // The console shows that the server is unreachable, and calls this again when it is back.
    }
    if (!hasDescendants || this.enabled) return;
    this.enabled = true;
    const attributes = { "aria-haspopup": "dialog", "aria-label": t("switcher.switch", { account: account.name }), class: "plain" };
    this.element.replaceChildren(button([this.name, icon("chevron-down")], () => this.open(), attributes));
  }

  dispose() {
    this.disposed = true;
  }

  async open() {
    if (this.loading) return;
    this.loading = true;
    let accounts;
    try {
      accounts = await this.load();
    } catch (error) {
      if (!this.disposed) notifyError(t("switcher.cannotList", { reason: error.message }));
      return;
    } finally {
      this.loading = false;
    }
    if (!this.disposed) this.openList(accounts);
  }

  openList(accounts) {
    const list = h("ul", { class: "listbox", role: "listbox", "aria-label": t("switcher.list"), id: "accounts" });
    const count = h("p", { class: "hint", role: "status" });
    const search = h("input", {
      type: "search",
      "aria-label": t("switcher.search"),
      placeholder: t("switcher.searchHint"),
      role: "combobox",
      "aria-expanded": "true",
      "aria-controls": "accounts",
      "aria-autocomplete": "list",
      autocomplete: "off",
    });
    const dialog = openDialog(t("switcher.title"), [search, count, list], { className: "account-dialog" });
    const select = (account) => {
      dialog.close();
      if (account.id === this.session.account.id) return;
      this.onSwitch({ id: account.id, name: account.name || account.id });
    };
    let activeIndex = 0;
    let shown = [];
    const setActive = (index) => {
      activeIndex = Math.max(0, Math.min(index, shown.length - 1));
      [...list.children].forEach((option, at) => {
        setAttribute(option, "data-active", at === activeIndex ? "true" : null);
      });
      const option = list.children[activeIndex];
      option?.scrollIntoView({ block: "nearest" });
      setAttribute(search, "aria-activedescendant", option?.id ?? null);
    };
    const filter = () => {
      const matching = filterAccounts(accounts, search.value);
      shown = matching.slice(0, MAX_OPTIONS);
      list.replaceChildren(...shown.map((account, index) => this.option(account, index, select)));
      const total = t("switcher.count", { count: matching.length });
      setText(count, matching.length > shown.length ? t("switcher.first", { total, shown: shown.length }) : total);
      setActive(0);
    };
    search.addEventListener("input", filter);
    search.addEventListener("keydown", (event) => {
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (step) {
        event.preventDefault();
        setActive(activeIndex + step);
      } else if (event.key === "Enter" && shown[activeIndex]) {
        event.preventDefault();
        select(shown[activeIndex]);
      }
    });
    filter();
    search.focus();
  }

  async load() {
    const { principal } = this.session;
    const descendants = await this.rest.get(accountPath(principal.id, "descendants"), { paginate: "false" });
    return [{ ...principal, realm: "" }, ...descendants];
  }

  option(account, index, select) {
    const selected = account.id === this.session.account.id;
    return h(
      "li",
      {
        role: "option",
        id: `account-${index}`,
        "aria-selected": String(selected),
        onclick: () => select(account),
      },
      h("span", {}, account.name || account.id),
      h("small", {}, [account.realm, account.id].filter(Boolean).join(" · ")),
    );
  }
}

function filterAccounts(accounts, query) {
  const terms = query.toLowerCase().split(/\s+/).filter(Boolean);
  return accounts.filter(({ name, realm, id }) => {
    const text = `${name} ${realm} ${id}`.toLowerCase();
    return terms.every((term) => text.includes(term));
  });
}
