/** A list that is loaded page by page, the newest first. */

import { KeyedList, button, h, setText } from "../dom.js";

const PAGE = 25;

/** More the server gives at no time. */
const LARGEST_PAGE = 1000;

export class PagedList {
  /** `fetchPage(query)` gives an envelope; `row(item)` an element; `empty` is said when there is nothing. */
  constructor(fetchPage, row, empty) {
    Object.assign(this, { fetchPage, emptyWords: empty });
    const list = h("ul", { class: "records" });
    this.rows = new KeyedList(list, ({ item }) => h("li", {}, row(item)));
    this.items = [];
    this.note = h("p", { class: "empty", role: "status" }, "Loading…");
    this.more = button("Show more", () => this.loadMore(), { hidden: true });
    this.element = h("div", {}, list, this.note, this.more);
  }

  /** Load as many as are shown; what was opened stays open, and who has the focus keeps it. */
  async load() {
    const size = Math.min(LARGEST_PAGE, Math.max(PAGE, this.items.length));
    await this.fill({ page_size: String(size) }, (items) => this.show(items));
  }

  async loadMore() {
    const before = this.items.length;
    await this.fill({ page_size: String(PAGE), start_key: this.next }, (items) => {
      this.show([...this.items, ...items]);
      this.rows.parent.children[before]?.querySelector("summary, button")?.focus();
    });
  }

  show(items) {
    const detailsAt = (at) => this.rows.parent.children[at]?.querySelector("details");
    const open = new Set(this.items.filter((item, at) => item.id && detailsAt(at)?.open).map(({ id }) => id));
    this.items = items;
    // An item that is another one than before, in whatever, is shown anew.
    const times = new Map();
    const keyed = items.map((item) => {
      const text = JSON.stringify(item);
      times.set(text, (times.get(text) ?? 0) + 1);
      return { item, key: `${text} ${times.get(text)}` };
    });
    this.rows.show(keyed, ({ key }) => key);
    items.forEach(({ id }, at) => {
      if (open.has(id)) detailsAt(at).open = true;
    });
  }

  async fill(query, put) {
    this.asked = (this.asked ?? 0) + 1;
    const asked = this.asked;
    try {
      const envelope = await this.fetchPage(query);
      if (asked !== this.asked) return; // a later question has overtaken this one
      put(envelope.data);
      this.next = envelope.next_start_key;
      this.more.hidden = this.next === undefined;
      setText(this.note, this.items.length ? "" : this.emptyWords);
    } catch (error) {
      if (asked === this.asked) setText(this.note, `This cannot be listed: ${error.message}.`);
    }
  }
}
