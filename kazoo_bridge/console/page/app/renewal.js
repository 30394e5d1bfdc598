/**
 * Renews the token of a session that was signed in with an API key, before it expires.
 *
 * The key lives only in the memory of this page: never in a storage, which browsers write to disk. So after
 * the page was loaded again the session ends with its token. A revoked key ends its tokens at once.
 */

import { now } from "./clock.js";
import { t } from "./strings.js";

/** The share of a token's remaining life after which it is renewed. */
const RENEWAL_SHARE = 0.75;

/** How long after a failure the next attempt follows. */
const RETRY_DELAY_MS = 30000;

/** Timers of browsers cannot be longer. */
const MAX_DELAY_MS = 2 ** 31 - 1;

export class TokenRenewal {
  /**
   * `signIn()` resolves to a new session; `expires` is when the present token does, in Gregorian seconds, or
   * null. `onRenewed` receives each new session.
   */
  constructor(signIn, expires, onRenewed) {
    Object.assign(this, { signIn, onRenewed });
    /** Why the last attempt failed; empty when it succeeded. */
    this.error = "";
    this.schedule(expires);
  }

  /** Renew no more. */
  stop() {
    this.stopped = true;
    clearTimeout(this.timer);
  }

  /** Renew now. Resolves to whether there is a new token. */
  renew() {
    this.running ??= this.attempt().finally(() => (this.running = undefined));
    return this.running;
  }

  async attempt() {
    let session;
    try {
      session = await this.signIn();
    } catch (error) {
      this.error = error.status === 401 ? t("signIn.keyInvalid") : error.message;
      // A revoked key does not come back.
      if (error.status !== 401) this.wait(RETRY_DELAY_MS);
      return false;
    }
    if (this.stopped) return false;
    this.error = "";
    this.schedule(session.expires);
    this.onRenewed(session);
    return true;
  }

  schedule(expires) {
    if (expires !== null) this.wait((expires - now()) * 1000 * RENEWAL_SHARE);
  }

  wait(delayMs) {
    clearTimeout(this.timer);
    if (this.stopped) return;
    this.timer = setTimeout(() => this.renew(), Math.min(Math.max(delayMs, 0), MAX_DELAY_MS));
  }
}
