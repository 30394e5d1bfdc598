/**
 * Keyboard navigation of a table (the ARIA grid pattern): the table is one tab stop; arrow keys move between
 * rows and between the buttons of a row.
 */
export class GridNavigation {
  /** `body` has focusable rows with buttons. */
  constructor(body) {
    this.body = body;
    body.addEventListener("keydown", (event) => this.onKeyDown(event));
    body.addEventListener("focusin", (event) => this.setTabStop(event.target.closest("tr")));
  }

  /** Make sure that one row is a tab stop after rows were added or removed. */
  onRowsChanged() {
    if (!this.body.querySelector('tr[tabindex="0"]')) this.setTabStop(this.body.rows[0]);
  }

  setTabStop(row) {
    if (!row) return;
    for (const other of this.body.querySelectorAll('tr[tabindex="0"]')) other.tabIndex = -1;
    row.tabIndex = 0;
  }

  onKeyDown(event) {
    const row = event.target.closest("tr");
    if (row === null || event.ctrlKey || event.metaKey || event.altKey) return;
    const stops = [row, ...row.querySelectorAll("button:not(:disabled)")];
    const index = stops.indexOf(event.target);
    const next = {
      ArrowDown: () => row.nextElementSibling,
      ArrowUp: () => row.previousElementSibling,
      Home: () => this.body.firstElementChild,
      End: () => this.body.lastElementChild,
      ArrowRight: () => stops[index + 1],
      ArrowLeft: () => stops[index - 1],
    }[event.key]?.();
    if (next) {
      event.preventDefault();
      next.focus();
    }
  }
}
