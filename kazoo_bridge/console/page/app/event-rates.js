/** The rates of events of sockets, from the counts of one list to the next. */

/** Counts closer together give no useful rate. */
const MIN_INTERVAL_S = 2;

export class EventRates {
  constructor() {
    /** Id of a socket -> `{events, at, rate}`; the rate is null before the second count. */
    this.counts = new Map();
  }

  /** Follow a list of sockets that was loaded at `at`, in seconds. Sockets that are gone are forgotten. */
  update(sockets, at) {
    const counts = new Map();
    for (const { websocket_session_id: id, events } of sockets) {
      if (Number.isInteger(events)) counts.set(id, next(this.counts.get(id), events, at));
    }
    this.counts = counts;
  }

  /** Return the events a second of a socket; null while the rate is not known. */
  of(id) {
    return this.counts.get(id)?.rate ?? null;
  }
}

function next(before, events, at) {
  // A count that has decreased is that of another socket, from the same address and port.
  if (before === undefined || events < before.events) return { events, at, rate: null };
  const seconds = at - before.at;
  return seconds < MIN_INTERVAL_S ? before : { events, at, rate: (events - before.events) / seconds };
}
