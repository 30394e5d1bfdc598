/**
 * Keeps the rows of a list where they are while the user is about to use one of them.
 *
 * Rows stay while the pointer moves over the list or keys are pressed in it, and for a short time after that:
 * then the list is put in order again, so that a pointer left on it does not hold it up.
 */

import { now } from "./clock.js";

/** How long after the last movement or key the rows stay. */
const HOLD_S = 5;

export class StableOrder {
  /**
   * `keyOf(item)` identifies an item; `gone(item)` returns how to show an item that is no longer there while
   * the pointer is on the list, where its neighbour would move below the pointer.
   */
  constructor(keyOf, gone) {
    Object.assign(this, { keyOf, gone });
    this.shown = [];
    this.pointerAt = -Infinity;
    this.keyAt = -Infinity;
  }

  /** Follow the pointer and the keyboard on an element; `onRelease` is called when the pointer leaves it. */
  watch(element, onRelease) {
    const onPointer = () => (this.pointerAt = now());
    for (const type of ["pointerenter", "pointermove", "pointerdown"]) element.addEventListener(type, onPointer);
    element.addEventListener("keydown", () => (this.keyAt = now()));
    element.addEventListener("pointerleave", () => {
      this.pointerAt = -Infinity;
      onRelease();
    });
  }

  /** Put the list in order the next time, because the user has chosen what to show or in which order. */
  release() {
    this.pointerAt = this.keyAt = -Infinity;
  }

  /** Return the items in the order to show them: as they were shown, with new ones at the end, or as given. */
  arrange(items, known = items) {
    const hasPointer = now() - this.pointerAt < HOLD_S;
    if (hasPointer || now() - this.keyAt < HOLD_S) this.shown = this.hold(items, known, hasPointer);
    else this.shown = items;
    return this.shown;
  }

  /** Put the items in the order in which they are shown; `known` are all that exist, shown or not. */
  hold(items, known, keepsGone) {
    const byKey = (list) => new Map(list.map((item) => [this.keyOf(item), item]));
    const [current, existing, before] = [byKey(items), byKey(known), byKey(this.shown)];
    const kept = [];
    for (const [key, item] of before) {
      if (current.has(key)) kept.push(current.get(key));
      else if (keepsGone) kept.push(existing.get(key) ?? this.gone(item));
    }
    return [...kept, ...items.filter((item) => !before.has(this.keyOf(item)))];
  }
}
