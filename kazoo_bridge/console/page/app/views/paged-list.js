/** A list that loads pages on demand, newest items first. */

import { KeyedList, button, h } from "../dom.js";
import { t } from "../strings.js";
import { EmptyState } from "./empty-state.js";

const PAGE_SIZE = 25;

/** The server's limit. */
const MAX_PAGE_SIZE = 1000;

export class PagedList {
  /**
   * `fetchPage(query)` resolves to an envelope; `createRow(item)` returns an element; `emptyText()` the title and
   * the text (or only the title) for an empty list; `iconName` its icon.
   */
  constructor(fetchPage, createRow, emptyText, iconName) {
    Object.assign(this, { fetchPage, emptyText });
    const list = h("ul", { class: "records" });
    this.rows = new KeyedList(list, ({ item }) => h("li", {}, createRow(item)));
    this.items = [];
    this.lastRequest = 0;
    this.note = new EmptyState(iconName);
    this.note.show(t("common.loading"));
    this.more = button(t("common.showMore"), () => this.loadMore(), { hidden: true });
    this.element = h("div", {}, list, this.note.element, h("p", {}, this.more));
  }

  /** Load the items again, as many as are shown. Open items stay open, and focus stays where it is. */
  async load() {
    const size = Math.min(MAX_PAGE_SIZE, Math.max(PAGE_SIZE, this.items.length));
    await this.fetch({ page_size: String(size) }, (items) => this.show(items));
  }

  async loadMore() {
    const firstNew = this.items.length;
    await this.fetch({ page_size: String(PAGE_SIZE), start_key: this.nextKey }, (items) => {
      this.show([...this.items, ...items]);
      this.rows.parent.children[firstNew]?.querySelector("summary, button")?.focus();
    });
  }

  show(items) {
    const detailsAt = (index) => this.rows.parent.children[index]?.querySelector("details");
    const openIds = new Set(
      this.items.filter(({ id }, index) => id && detailsAt(index)?.open).map(({ id }) => id),
    );
    this.items = items;
    // The key is the item's content, so that a changed item gets a new element; equal items are numbered.
    const occurrences = new Map();
    const keyed = items.map((item) => {
      const json = JSON.stringify(item);
      occurrences.set(json, (occurrences.get(json) ?? 0) + 1);
      return { item, key: `${json} ${occurrences.get(json)}` };
    });
    this.rows.show(keyed, ({ key }) => key);
    items.forEach(({ id }, index) => {
      if (openIds.has(id)) detailsAt(index).open = true;
    });
  }

  async fetch(query, onItems) {
    this.lastRequest += 1;
    const request = this.lastRequest;
    // The response to an older request may arrive after that to a newer one.
    const isOutdated = () => request !== this.lastRequest;
    try {
      const envelope = await this.fetchPage(query);
      if (isOutdated()) return;
      onItems(envelope.data);
      this.nextKey = envelope.next_start_key;
      this.more.hidden = this.nextKey === undefined;
      this.note.show(...(this.items.length ? [""] : this.emptyText()));
    } catch (error) {
      if (!isOutdated()) this.note.show(t("common.cannotList", { reason: error.message }));
    }
  }
}
