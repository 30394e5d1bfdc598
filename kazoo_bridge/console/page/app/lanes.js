/** The lanes of live calls: what waits for the operator comes first. */

import { DIRECTIONS, STATES, partyName, searchText } from "./calls.js";
import { isMyCall } from "./my-phone.js";
import { fitsSearch } from "./numbers.js";

/** The lanes in the order in which they are shown; "mine" has the calls of the operator's phone. */
export const LANES = ["mine", "ringing", "held", "parked", "answered"];

/** The columns by which calls are sorted, with the value of a call; `states` is a `CallStates`. */
export const COLUMNS = {
  from: (call) => partyName(call.caller).toLowerCase(),
  to: (call) => partyName(call.callee).toLowerCase(),
  state: (call) => STATES[call.state],
  direction: (call) => DIRECTIONS[call.direction],
  // Negative times: the longest time comes first when sorted in descending order, like the numbers shown.
  time: (call, states) => -states.of(call).since,
  since: (call) => -call.since,
};

/** Return the lane of a call. An ended one stays in the lane in which it ended. */
export function laneOf(call, phone) {
  const state = call.lastState ?? call.state;
  if (state !== "parked" && isMyCall(call, phone)) return "mine";
  // A call that rings at a party outside waits for that party, not for the operator.
  return state === "ringing" && call.direction === "outbound" ? "answered" : state;
}

/**
 * Sort calls into lanes. Returns `{lanes, counts, shown, live}`: the calls of each of `LANES` that fit the
 * filters, and the numbers of live calls: by lane, that fit, and of all.
 *
 * `filters` has `lane`, `direction` and `search`, each empty for no filter, and `sort`, `{column, descending}`.
 */
export function arrangeInLanes(calls, filters, { phone, states }) {
  const counts = Object.fromEntries(LANES.map((lane) => [lane, 0]));
  const lanes = Object.fromEntries(LANES.map((lane) => [lane, []]));
  let [shown, live] = [0, 0];
  for (const call of calls) {
    const lane = laneOf(call, phone);
    const isLive = !call.endedAt;
    live += isLive;
    counts[lane] += isLive;
    if (filters.lane && filters.lane !== lane) continue;
    if (filters.direction && filters.direction !== call.direction) continue;
    if (filters.search && !fitsSearch(filters.search, searchText(call))) continue;
    shown += isLive;
    lanes[lane].push(call);
  }
  const valueOf = COLUMNS[filters.sort.column] ?? COLUMNS.time;
  const order = filters.sort.descending ? -1 : 1;
  for (const lane of LANES) {
    const values = new Map(lanes[lane].map((call) => [call, valueOf(call, states)]));
    lanes[lane].sort(
      (left, right) =>
        compare(values.get(left), values.get(right)) * order ||
        compare(left.since, right.since) ||
        compare(left.id, right.id),
    );
  }
  return { lanes: LANES.map((lane) => ({ lane, calls: lanes[lane] })), counts, shown, live };
}

const compare = (left, right) => (left < right ? -1 : left > right ? 1 : 0);
