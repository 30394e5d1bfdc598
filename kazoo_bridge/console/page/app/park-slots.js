/** The park slots of an account, in use and free. */

const MAX_SLOTS = 200;

/** Return the texts of a list like "101-104, 110"; what is not a range stays as it is. */
export function parseRanges(text) {
  const slots = new Set();
  for (const part of text.split(/[\s,;]+/).filter(Boolean)) {
    for (const slot of expand(part)) {
      if (slots.size >= MAX_SLOTS) return [...slots];
      slots.add(slot);
    }
  }
  return [...slots];
}

function expand(part) {
  const [, first, last] = /^(\d{1,9})-(\d{1,9})$/.exec(part) ?? [];
  if (first === undefined) return [part];
  const count = Number(last) - Number(first) + 1;
  if (count < 1 || count > MAX_SLOTS) return [part];
  // Slots may have leading zeros.
  return Array.from({ length: count }, (_, at) => String(Number(first) + at).padStart(first.length, "0"));
}

/**
 * Return all slots in order, `{slot, call}`, with the parked call or null: those of the list, and those in
 * use. Parked calls without a known slot come last.
 */
export function slotsOf(calls, list) {
  const parked = calls.filter((call) => call.state === "parked");
  const byslot = new Map(list.map((slot) => [slot, null]));
  for (const call of parked) if (call.slot) byslot.set(call.slot, call);
  const named = [...byslot].map(([slot, call]) => ({ slot, call })).sort(compareSlots);
  return [...named, ...parked.filter((call) => !call.slot).map((call) => ({ slot: null, call }))];
}

/** Return the free ones of a list of slots. */
export function freeSlots(calls, list) {
  return slotsOf(calls, list).filter(({ call }) => call === null).map(({ slot }) => slot);
}

const compareSlots = (left, right) => left.slot.localeCompare(right.slot, undefined, { numeric: true });
