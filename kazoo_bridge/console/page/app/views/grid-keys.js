/** One tab stop for a whole table: arrow keys move between its rows, and between the buttons of a row. */

export class GridKeys {
  /** `body` holds rows that can be focused, each with buttons. */
  constructor(body) {
    this.body = body;
    body.addEventListener("keydown", (event) => this.pressed(event));
    body.addEventListener("focusin", (event) => this.stopAt(event.target.closest("tr")));
  }

  /** Change the rows; when the one with the focus goes, its neighbour gets it, and none of the neighbour's buttons. */
  keeping(change) {
    const focused = this.body.contains(document.activeElement) ? document.activeElement.closest("tr") : null;
    const at = focused ? [...this.body.rows].indexOf(focused) : -1;
    const element = document.activeElement;
    change();
    if (focused && !focused.isConnected) this.body.rows[Math.min(at, this.body.rows.length - 1)]?.focus();
    else if (focused && document.activeElement !== element) element.focus({ preventScroll: true }); // moving a row takes the focus off it
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
