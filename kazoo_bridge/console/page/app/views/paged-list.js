/** A list that is loaded page by page, the newest first. */

import { button, h, setText } from "../dom.js";

const PAGE = 25;

export class PagedList {
  /** `fetchPage(query)` gives an envelope; `row(item)` an element; `empty` is said when there is nothing. */
  constructor(fetchPage, row, empty) {
    Object.assign(this, { fetchPage, row, emptyWords: empty });
    this.list = h("ul", { class: "records" });
    this.note = h("p", { class: "empty", role: "status" });
    this.more = button("Show more", () => this.loadMore(), { hidden: true });
    this.element = h("div", {}, this.list, this.note, this.more);
  }

  /** Load the first page; what was opened stays open. */
  async load() {
    const open = new Set([...this.list.querySelectorAll("details[open]")].map((one) => one.dataset.id));
    await this.fill({}, (rows) => {
      this.list.replaceChildren(...rows);
      for (const details of this.list.querySelectorAll("details")) {
        if (open.has(details.dataset.id)) details.open = true;
      }
    });
  }

  async loadMore() {
    await this.fill({ start_key: this.next }, (rows) => {
      this.list.append(...rows);
      rows[0]?.querySelector("summary, button")?.focus();
    });
  }

  async fill(query, put) {
    this.asked = (this.asked ?? 0) + 1;
    const asked = this.asked;
    try {
      const envelope = await this.fetchPage({ page_size: String(PAGE), ...query });
      if (asked !== this.asked) return; // a later question has overtaken this one
      put(envelope.data.map((item) => h("li", {}, this.row(item))));
      this.next = envelope.next_start_key;
      this.more.hidden = this.next === undefined;
      setText(this.note, this.list.children.length ? "" : this.emptyWords);
    } catch (error) {
      setText(this.note, `This cannot be listed: ${error.message}.`);
    }
  }
}
