/** One tab stop for a whole table: arrow keys move between its rows, and between the buttons of a row. */

export class GridKeys {
  /** `body` holds rows that can be focused, each with buttons. */
  constructor(body) {
    this.body = body;
    body.addEventListener("keydown", (event) => this.pressed(event));
    body.addEventListener("focusin", (event) => this.stopAt(event.target.closest("tr")));
  }

  /** The rows have changed: there is still one that the Tab key stops at. */
  changed() {
    if (!this.body.querySelector('tr[tabindex="0"]')) this.stopAt(this.body.rows[0]);
  }

  stopAt(row) {
    if (!row) return;
    for (const other of this.body.querySelectorAll('tr[tabindex="0"]')) other.tabIndex = -1;
    row.tabIndex = 0;
  }

  pressed(event) {
    const row = event.target.closest("tr");
    if (row === null || event.ctrlKey || event.metaKey || event.altKey) return;
    const stops = [row, ...row.querySelectorAll("button:not(:disabled)")];
    const at = stops.indexOf(event.target);
    const next = {
      ArrowDown: () => row.nextElementSibling,
      ArrowUp: () => row.previousElementSibling,
      Home: () => this.body.firstElementChild,
      End: () => this.body.lastElementChild,
      ArrowRight: () => stops[at + 1],
      ArrowLeft: () => stops[at - 1],
    }[event.key]?.();
    if (next) {
      event.preventDefault();
      next.focus();
    }
  }
}
