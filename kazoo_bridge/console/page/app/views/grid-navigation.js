/**
 * Keyboard navigation of a table (the ARIA grid pattern): the table is one tab stop; arrow keys move between
 * rows and between the buttons of a row. Rows that cannot have the focus, like headings, are passed over.
 */
export class GridNavigation {
  /** `body` has focusable rows with buttons. */
  constructor(body) {
    this.body = body;
    body.addEventListener("keydown", (event) => this.onKeyDown(event));
    body.addEventListener("focusin", (event) => this.setTabStop(event.target.closest("tr")));
  }

  /** The rows that can have the focus. */
  get rows() {
    return [...this.body.rows].filter((row) => row.hasAttribute("tabindex"));
  }

  /** Make sure that one row is a tab stop after rows were added or removed. */
  onRowsChanged() {
    if (!this.body.querySelector('tr[tabindex="0"]')) this.setTabStop(this.body.querySelector("tr[tabindex]"));
  }

  setTabStop(row) {
    if (!row?.hasAttribute("tabindex")) return;
    for (const other of this.body.querySelectorAll('tr[tabindex="0"]')) other.tabIndex = -1;
    row.tabIndex = 0;
  }

  onKeyDown(event) {
    const row = event.target.closest("tr");
    if (row === null || event.ctrlKey || event.metaKey || event.altKey) return;
    const stops = [row, ...row.querySelectorAll("button:not(:disabled, [hidden])")];
    const next = {
      ArrowDown: () => this.neighbour(row, 1),
      ArrowUp: () => this.neighbour(row, -1),
      Home: () => this.rows[0],
      End: () => this.rows.at(-1),
      ArrowRight: () => stops[stops.indexOf(event.target) + 1],
      ArrowLeft: () => stops[stops.indexOf(event.target) - 1],
    }[event.key]?.();
    if (next) {
      event.preventDefault();
      next.focus();
    }
  }

  neighbour(row, step) {
    const { rows } = this;
    return rows[rows.indexOf(row) + step];
  }
}
