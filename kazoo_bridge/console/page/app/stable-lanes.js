/**
 * Keeps the calls of a list with lanes where they are while the user is about to use one of them.
 *
 * Calls stay while the pointer moves over the list or keys are pressed in it, and for a short time after that:
 * then the list is put in order again, so that a pointer left on it does not hold it up. What is above the
 * lane in use takes in nothing, that lane takes in new calls at its end, and the lanes below go on.
 */

import { endCall } from "./calls.js";
import { now } from "./clock.js";

/** How long after the last movement or key the calls stay. */
const HOLD_S = 5;

export class StableLanes {
  constructor() {
    /** `{lane, calls}` as shown last. */
    this.shown = [];
    this.release();
  }

  /**
   * Follow the pointer and the keyboard on an element; `laneOf(target)` returns the lane of an event's target,
   * and `onRelease` is called when the pointer leaves the element.
   */
  watch(element, laneOf, onRelease) {
    const use = (property) => (event) => {
      this[property] = now();
      this.lane = laneOf(event.target) ?? this.lane;
    };
    for (const type of ["pointerenter", "pointermove", "pointerdown"])
      element.addEventListener(type, use("pointerAt"));
    element.addEventListener("keydown", use("keyAt"));
    element.addEventListener("pointerleave", () => {
      this.pointerAt = -Infinity;
      onRelease();
    });
  }

  /** Put the list in order the next time, because the user has chosen what to show or in which order. */
  release() {
    this.pointerAt = this.keyAt = -Infinity;
    this.lane = null;
  }

  /**
   * Return the lanes to show: as they were shown, or as given. `known` are all calls that exist, shown or not.
   */
  arrange(lanes, known) {
    const hasPointer = now() - this.pointerAt < HOLD_S;
    const isHeld = hasPointer || now() - this.keyAt < HOLD_S;
    this.shown = isHeld ? this.hold(lanes, known, hasPointer) : lanes;
    return this.shown;
  }

  hold(lanes, known, keepsGone) {
    const existing = new Map(known.map((call) => [call.id, call]));
    const fitting = new Set(lanes.flatMap(({ calls }) => calls.map(({ id }) => id)));
    const inUse = Math.max(0, this.shown.findIndex(({ lane }) => lane === this.lane));
    const placed = new Set();
    const keep = (call) => {
      placed.add(call.id);
      if (fitting.has(call.id)) return [existing.get(call.id)];
      return keepsGone ? [existing.get(call.id) ?? endCall(call)] : [];
    };
    // What was shown down to the lane in use stays there, even in another state.
    const kept = this.shown.slice(0, inUse + 1).map(({ calls }) => calls.flatMap(keep));
    // Calls that appear above wait: they would push down what is below the pointer.
    return lanes.map(({ lane, calls }, index) => {
      const others = calls.filter(({ id }) => !placed.has(id));
      if (index > inUse) return { lane, calls: others };
      return { lane, calls: index < inUse ? (kept[index] ?? []) : [...(kept[index] ?? []), ...others] };
    });
  }
}
