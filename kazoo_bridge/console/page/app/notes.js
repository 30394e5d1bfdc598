/** The operator's notes about telephone numbers, kept in this browser, whose tabs share them. */

import { preference, setPreference } from "./preferences.js";

const MAX_NOTES = 500;
const MAX_NOTE_LENGTH = 500;

/** Events: "change". */
export class Notes extends EventTarget {
  constructor(accountId) {
    super();
    this.key = `operator.${accountId}.notes`;
    /** Number -> note, the one that was changed last at the end. */
    this.notes = this.stored() ?? new Map();
    /** Whether the storage has `notes`. */
    this.isStored = true;
  }

  /** Follow a write of another tab to the preference of this name. */
  onPreference(name) {
    if (name !== this.key || !this.isStored) return;
    this.notes = this.stored() ?? new Map();
    this.dispatchEvent(new Event("change"));
  }

  /** Return the stored notes; null when there are none. */
  stored() {
    const entries = preference(this.key, null);
    return entries === null ? null : new Map(Array.isArray(entries) ? entries.filter(isEntry) : []);
  }

  /** Return the note about a number; "" for none. */
  of(number) {
    return this.notes.get(number) ?? "";
  }

  /**
   * Write a note about a number; an empty text removes it. The oldest notes are removed when there are too many.
   * Another tab may have written since: the stored notes are read again, so that its changes stay.
   */
  write(number, text) {
    const note = text.trim().slice(0, MAX_NOTE_LENGTH);
    if (this.isStored) this.notes = this.stored() ?? this.notes;
    this.notes.delete(number);
    if (note && number) this.notes.set(number, note);
    for (const oldest of this.notes.keys()) if (this.notes.size > MAX_NOTES) this.notes.delete(oldest);
    this.isStored = setPreference(this.key, [...this.notes]);
    this.dispatchEvent(new Event("change"));
  }
}

const isEntry = (entry) =>
  Array.isArray(entry) && entry.length === 2 && entry.every((value) => typeof value === "string");
