/** The operator's notes about telephone numbers, kept in this browser. */

import { preference, setPreference } from "./preferences.js";

const MAX_NOTES = 500;
const MAX_NOTE_LENGTH = 500;

/** Events: "change". */
export class Notes extends EventTarget {
  constructor(accountId) {
    super();
    this.key = `operator.${accountId}.notes`;
    const stored = preference(this.key, []);
    /** Number -> note, the one that was changed last at the end. */
    this.notes = new Map(Array.isArray(stored) ? stored.filter(isEntry) : []);
  }

  /** Return the note about a number; "" for none. */
  of(number) {
    return this.notes.get(number) ?? "";
  }

  /** Write a note about a number; an empty text removes it. The oldest notes go when there are too many. */
  write(number, text) {
    const note = text.trim().slice(0, MAX_NOTE_LENGTH);
    this.notes.delete(number);
    if (note && number) this.notes.set(number, note);
    for (const oldest of this.notes.keys()) if (this.notes.size > MAX_NOTES) this.notes.delete(oldest);
    setPreference(this.key, [...this.notes]);
    this.dispatchEvent(new Event("change"));
  }
}

const isEntry = (entry) =>
  Array.isArray(entry) && entry.length === 2 && entry.every((value) => typeof value === "string");
