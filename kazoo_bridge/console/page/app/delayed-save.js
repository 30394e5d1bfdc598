/** Saves what changes often at most once in a while: browsers write to their storages on the thread of the page. */

const SAVE_INTERVAL_MS = 1000;

export class DelayedSave {
  /** `save()` writes the present state. */
  constructor(save, intervalMs = SAVE_INTERVAL_MS) {
    Object.assign(this, { save, intervalMs });
    this.timer = undefined;
    this.flush = this.flush.bind(this);
    // A page that is hidden for good gets no other event on phones.
    globalThis.addEventListener?.("pagehide", this.flush);
  }

  /** Save within the interval. */
  request() {
    this.timer ??= setTimeout(this.flush, this.intervalMs);
  }

  /** Save at once what was requested. */
  flush() {
    if (this.timer === undefined) return;
    clearTimeout(this.timer);
    this.timer = undefined;
    this.save();
  }

  /** Save what was requested, and end. */
  dispose() {
    this.flush();
    globalThis.removeEventListener?.("pagehide", this.flush);
  }
}
