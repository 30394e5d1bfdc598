/** The account: what it is, who is signed in to it, its API key, and the limits of its webhooks. */

import { confirmDialog, openDialog } from "../dialogs.js";
import { KeyedList, button, h, setText } from "../dom.js";
import { icon } from "../icons.js";
import { relativeTime } from "../relative-time.js";
import { accountPath } from "../rest.js";
import { t } from "../strings.js";
import { notify, withErrorToast } from "../toasts.js";
import { copyField } from "./copy-field.js";
import { LimitsForm } from "./limits-form.js";
import { PivotPoints } from "./pivot-points.js";

/** Characters of a token's id that are shown: enough to tell tokens apart. */
const ID_LENGTH = 12;

/** The most tokens in the table. */
const MAX_TOKENS = 200;

/** The most descendants that are counted. */
const MAX_COUNTED = 10_000;

const TOKEN_COLUMNS = ["token", "origin", "created", "expires"];

export class AccountView {
  constructor(app) {
    this.app = app;
    this.rest = app.rest;
    this.path = (...segments) => accountPath(app.account.id, ...segments);
    this.properties = h("dl", { class: "properties" });
    this.limits = new LimitsForm(app);
    this.pivots = new PivotPoints(app);
    this.element = h(
      "div",
      {},
      h("h1", {}, t("view.account")),
      h(
        "div",
        { class: "cards" },
        h("section", { class: "card" }, h("h2", {}, t("account.details")), this.properties),
        this.keyCard(),
        h("section", { class: "card" }, h("h2", {}, t("account.limits")), this.limits.element),
        this.pivots.element,
        this.tokenCard(),
      ),
    );
    this.load();
  }

  dispose() {
    this.disposed = true;
  }

  onReconnect() {
    this.load();
  }

  load() {
    return Promise.all([this.loadAccount(), this.loadKey(), this.loadTokens(), this.limits.load(), this.pivots.load()]);
  }

  // -- the account

  async loadAccount() {
    const { account } = this.app;
    const [document, descendants] = await Promise.all([
      this.rest.get(this.path()).catch(() => ({ id: account.id, name: account.name })),
      this.countDescendants().catch((error) => t("account.unavailable", { reason: error.message })),
    ]);
    const rows = [
      ["common.name", document.name],
      ["account.id", copyField(t("account.id"), document.id)],
      ["account.realm", document.realm && h("code", {}, document.realm)],
      ["account.reseller", document.reseller_id && h("code", {}, document.reseller_id)],
      ["account.subaccounts", descendants],
    ].filter(([, value]) => value);
    this.properties.replaceChildren(...rows.flatMap(([key, value]) => [h("dt", {}, t(key)), h("dd", {}, value)]));
  }

  /** Return the number of the account's descendants as a text. Throws `RestError`. */
  async countDescendants() {
    const { length } = await this.rest.get(this.path("descendants"), { paginate: "false" }, MAX_COUNTED + 1);
    return length > MAX_COUNTED ? t("account.moreThan", { count: MAX_COUNTED }) : String(length);
  }

  // -- the API key

  keyCard() {
    this.keyText = h("p", { role: "status" }, t("common.loading"));
    this.renew = button([icon("key-round"), t("account.renewKey")], () => this.renewKey(), { hidden: true });
    return h("section", { class: "card" }, h("h2", {}, t("account.apiKey")), this.keyText, this.renew);
  }

  async loadKey() {
    try {
      const { has_api_key: hasKey } = await this.rest.get(this.path("api_key"));
      setText(this.keyText, t(hasKey ? "account.hasApiKey" : "account.noApiKey"));
      this.renew.hidden = false;
    } catch (error) {
      setText(this.keyText, t("account.unavailable", { reason: error.message }));
    }
  }

  async renewKey() {
    if (!(await confirmDialog(t("account.renewQuestion"), t("account.renewIt"), t("account.renewDetail")))) return;
    await withErrorToast(t("account.keyNotCreated"), async () => {
      const { api_key: key } = await this.rest.send("PUT", this.path("api_key"));
      const field = copyField(t("account.apiKey"), key);
      openDialog(t("account.keyCreated"), [h("p", {}, t("account.keyHint")), field], { persistent: true });
      field.select();
      await this.load();
    });
  }

  // -- tokens

  tokenCard() {
    this.tokenNote = h("p", { class: "empty", role: "status" }, t("common.loading"));
    const body = h("tbody", {});
    this.tokens = new KeyedList(body, (token) => this.tokenRow(token));
    const head = TOKEN_COLUMNS.map((key) => h("th", { scope: "col" }, t(`account.${key}`)));
    this.tokenTable = h(
      "table",
      { "aria-label": t("account.tokens"), hidden: true },
      h("thead", {}, h("tr", {}, head, h("th", { scope: "col" }, h("span", { class: "visually-hidden" }, t("sockets.actions"))))),
      body,
    );
    return h(
      "section",
      { class: "wide" },
      h("h2", {}, t("account.tokens")),
      h("p", { class: "hint" }, t("account.tokensHint")),
      h("div", { class: "table-wrapper" }, this.tokenTable, this.tokenNote),
    );
  }

  async loadTokens() {
    try {
      const tokens = await this.rest.get(this.path("tokens"), { paginate: "false" }, MAX_TOKENS + 1);
      if (this.disposed) return;
      this.tokens.show(tokens.slice(0, MAX_TOKENS), ({ id }) => id);
      this.tokenTable.hidden = !tokens.length;
      const more = tokens.length > MAX_TOKENS ? t("account.moreTokens", { count: MAX_TOKENS }) : "";
      setText(this.tokenNote, tokens.length ? more : t("account.noTokens"));
    } catch (error) {
      const text = error.status === 404 ? t("account.tokensUnavailable") : t("common.cannotList", { reason: error.message });
      setText(this.tokenNote, text);
    }
  }

  tokenRow(token) {
    const name = token.id.slice(0, ID_LENGTH);
    const cells = [
      [h("code", {}, name), " ", token.current && h("span", { class: "badge self" }, t("account.tokenOwn"))],
      [
        t(token.api_key ? "account.fromKey" : "account.issued"),
        " ",
        token.restricted && h("span", { class: "badge" }, t("account.restricted")),
      ],
      [relativeTime(token.created)],
      [relativeTime(token.expires ?? null)],
    ];
    const revoke = button(t("account.revoke"), () => this.revokeToken(token, name), {
      class: "danger",
      "aria-label": t("account.revokeOne", { token: name }),
    });
    return h(
      "tr",
      {},
      cells.map((content, index) => h("td", { "data-label": t(`account.${TOKEN_COLUMNS[index]}`) }, content)),
      h("td", { class: "actions" }, revoke),
    );
  }

  async revokeToken({ id, current }) {
    const detail = t(current ? "account.revokeOwnDetail" : "account.revokeDetail");
    if (!(await confirmDialog(t("account.revokeQuestion"), t("account.revoke"), detail))) return;
    await withErrorToast(t("account.notRevoked"), async () => {
      await this.rest.send("DELETE", this.path("tokens", id));
      notify(t("account.revoked"));
      if (!current) await this.loadTokens();
    });
  }
}
