/**
 * Which items of a long list have elements: those near the part in sight, and the ones that are always kept.
 * A gap between them is one element of their height, so that the list scrolls as if it had all elements.
 */

/** Shorter lists have elements for all items. */
export const MAX_WHOLE_LIST = 150;

/** So many more items than fit have elements on each side: they are there when the user scrolls. */
const OVERSCAN = 12;

/** The ends of the window are multiples of this, so that it does not change with each pixel. */
const STEP = 8;

/**
 * Return the range `[first, end)` of the items in sight, with some more on each side. `top` is the position of
 * the list in the viewport, `viewHeight` the height of that, and `itemHeight` that of an item, in pixels.
 */
export function rangeInSight(top, viewHeight, itemHeight) {
  const first = Math.floor(-top / itemHeight) - OVERSCAN;
  const end = Math.ceil((viewHeight - top) / itemHeight) + OVERSCAN;
  return [Math.max(0, Math.floor(first / STEP) * STEP), Math.max(0, Math.ceil(end / STEP) * STEP)];
}

/**
 * Return the items of a range, those for which `isKept(item, index)`, each with its `index`, and `{id, gap}` in
 * place of `gap` other ones. A list that is not long is returned as it is, without indices.
 */
export function windowOf(items, [first, end], isKept) {
  if (items.length <= MAX_WHOLE_LIST) return items;
  const shown = [];
  let [gap, gaps] = [0, 0];
  const closeGap = () => {
    if (gap) shown.push({ id: `gap ${gaps}`, gap });
    gaps += gap ? 1 : 0;
    gap = 0;
  };
  items.forEach((item, index) => {
    if ((index < first || index >= end) && !isKept(item, index)) {
      gap += 1;
      return;
    }
    closeGap();
    shown.push({ ...item, index });
  });
  closeGap();
  return shown;
}
