/** Replays the deliveries of a webhook's recorded attempts in a span of time, one after the other. */

/** The most deliveries of one replay. */
export const MAX_DELIVERIES = 500;

const PAGE_SIZE = 100;

/** Pages that are read at most: attempts at few deliveries may be many. */
const MAX_PAGES = 100;

/** How long to wait when the server has too many requests, and how often. */
const BUSY_DELAY_MS = 2000;
const MAX_BUSY = 30;

export class SpanReplay {
  /** `path(...segments)` builds a path below the webhook; `query` are the filters of the attempts. */
  constructor(rest, path, query) {
    Object.assign(this, { rest, path, query });
    this.isStopped = false;
  }

  /** Stop after the request that is under way. */
  stop() {
    this.isStopped = true;
  }

  /**
   * Find the deliveries. Resolves to `{attempts, isMore}`: one attempt at each of the newest deliveries, oldest
   * first, and whether there may be more, because the numbers of deliveries and pages are bounded.
   * `onProgress(count)` gets the number that was found so far. Throws `RestError`.
   */
  async find(onProgress) {
    const found = new Map();
    let query = { ...this.query, page_size: String(PAGE_SIZE) };
    let isComplete = false;
    for (let page = 0; page < MAX_PAGES && !this.isStopped; page += 1) {
      const { data, next_start_key: next } = await this.rest.request("GET", this.path("attempts"), { query });
      for (const attempt of data) {
        // A test is no delivery.
        const key = attempt.req_headers?.["webhook-id"] ?? attempt.event_id;
        if (!attempt.test && !found.has(key)) found.set(key, attempt);
      }
      onProgress(Math.min(found.size, MAX_DELIVERIES));
      isComplete = next === undefined;
      if (isComplete || found.size > MAX_DELIVERIES) break;
      query = { ...query, start_key: next };
    }
    const isMore = !isComplete || found.size > MAX_DELIVERIES;
    return { attempts: [...found.values()].slice(0, MAX_DELIVERIES).reverse(), isMore };
  }

  /**
   * Make the deliveries of `attempts` again. Resolves to `{replayed, refused, reason}`: how many are made again,
   * how many the server has refused, for example because their payloads were not kept, and why the last of them.
   * Throws `RestError` when nothing more can be replayed, for example because the server is gone.
   */
  async run(attempts, onProgress) {
    const result = { replayed: 0, refused: 0, reason: "" };
    for (const { id } of attempts) {
      if (this.isStopped) break;
      try {
        await this.send(id);
        result.replayed += 1;
      } catch (error) {
        if (error.status !== 404 && error.status !== 409) throw error;
        result.refused += 1;
        result.reason = error.message;
      }
      onProgress(result.replayed + result.refused);
    }
    return result;
  }

  async send(id) {
    for (let busy = 0; ; busy += 1) {
      try {
        return await this.rest.send("POST", this.path("attempts", id, "replay"));
      } catch (error) {
        if (error.status !== 429 || busy >= MAX_BUSY || this.isStopped) throw error;
        await new Promise((resolve) => setTimeout(resolve, BUSY_DELAY_MS));
      }
    }
  }
}
