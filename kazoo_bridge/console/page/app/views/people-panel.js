/** The people of the account with their states: to call, and to transfer calls to. */

import { KeyedList, button, h, setAttribute, setText, throttle, toResults } from "../dom.js";
import { fitsSearch, formatNumber } from "../numbers.js";
import { PERSON_STATES } from "../person-options.js";
import { t } from "../strings.js";
import { CALL_MEDIA_TYPE } from "./call-grid.js";
import { openPersonDialog } from "./person-dialog.js";

const REDRAW_INTERVAL_MS = 400;

/** More are found by the search. */
const MAX_SHOWN = 200;

export class PeoplePanel {
  /** `callbacks.onCallDropped(callId, person, isAttended)` is called when a call is dropped on a person. */
  constructor(operator, callbacks, grid) {
    Object.assign(this, { operator, callbacks, grid, people: operator.people });
    this.search = h("input", {
      type: "search",
      placeholder: t("people.searchHint"),
      "aria-label": t("people.search"),
      maxlength: "200",
      oninput: () => this.draw(),
      onkeydown: (event) => toResults(event, () => this.list.querySelector("button")),
    });
    this.list = h("ul", { class: "people", "aria-label": t("panel.people") });
    this.rows = new KeyedList(this.list, (person) => this.row(person));
    this.empty = h("p", { class: "empty", role: "status" });
    this.element = h("div", {}, h("h2", {}, t("panel.people")), this.search, this.list, this.empty);
    this.redraw = throttle(() => this.draw(), REDRAW_INTERVAL_MS);
    this.people.addEventListener("change", this.redraw);
    operator.calls.addEventListener("change", this.redraw);
    this.list.addEventListener("keydown", (event) => this.onKeyDown(event));
    this.draw();
  }

  dispose() {
    this.people.removeEventListener("change", this.redraw);
    this.operator.calls.removeEventListener("change", this.redraw);
  }

  draw() {
    const all = this.people.list();
    const fitting = all.filter(({ name, number }) => fitsSearch(this.search.value, `${name} ${number}`.toLowerCase()));
    this.rows.show(fitting.slice(0, MAX_SHOWN), ({ key }) => key);
    const hidden = fitting.length - MAX_SHOWN;
    const none = all.length ? t("people.noMatch") : t("people.none");
    setText(this.empty, hidden > 0 ? t("people.more", { count: hidden }) : fitting.length ? "" : none);
  }

  row(first) {
    const [dot, name, detail] = [h("i", { "aria-hidden": "true" }), h("span", {}), h("small", {})];
    const open = button([dot, h("span", { class: "person-text" }, name, detail)], () => this.open(row.person), { class: "plain person-open" });
    const call = button(t("people.call"), () => this.operator.outgoing.call(row.person.number, row.person.name), { class: "plain person-call" });
    const star = button("", () => this.people.setFavourite(row.person.key, !row.person.isFavourite), { class: "plain star" });
    const row = h(
      "li",
      {
        class: "person",
        ondragover: (event) => this.onDrag(event, row, true),
        ondragleave: (event) => this.onDrag(event, row, false),
        ondrop: (event) => this.onDrop(event, row),
      },
      open,
      call,
      star,
    );
    row.update = (person) => {
      row.person = person;
      const state = PERSON_STATES[person.state];
      setText(name, person.name);
      setText(detail, [formatNumber(person.number), state].filter(Boolean).join(" · "));
      setAttribute(dot, "class", `dot ${person.state}`);
      setAttribute(open, "aria-haspopup", "dialog");
      setAttribute(call, "aria-label", t("people.callPerson", { name: person.name }));
      call.disabled = !person.number;
      setText(star, person.isFavourite ? "★" : "☆");
      setAttribute(star, "aria-pressed", String(person.isFavourite));
      setAttribute(star, "aria-label", t("people.favourite", { name: person.name }));
    };
    row.update(first);
    return row;
  }

  open(person) {
    openPersonDialog(person, this.operator, this.grid.currentCall);
  }

  /** Arrow keys move between the people. */
  onKeyDown(event) {
    const step = { ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling" }[event.key];
    const row = event.target.closest("li");
    if (!step || !row) return;
    event.preventDefault();
    row[step]?.querySelector("button").focus();
  }

  onDrag(event, row, isOver) {
    if (!event.dataTransfer.types.includes(CALL_MEDIA_TYPE) || !row.person.number) return;
    if (isOver) {
      event.preventDefault();
      event.dataTransfer.dropEffect = isAttended(event) ? "copy" : "move";
    }
    setAttribute(row, "data-drop", isOver ? "true" : null);
  }

  onDrop(event, row) {
    const callId = event.dataTransfer.getData(CALL_MEDIA_TYPE);
    setAttribute(row, "data-drop", null);
    if (!callId || !row.person.number) return;
    event.preventDefault();
    this.callbacks.onCallDropped(callId, row.person, isAttended(event));
  }
}

/** Whether a drop transfers after a consultation. */
const isAttended = (event) => event.ctrlKey || event.metaKey;
