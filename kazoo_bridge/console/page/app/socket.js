/**
 * The websocket: subscribes for one account, comes back by itself when the connection breaks, and goes on where it was.
 *
 * Events: "state" (look at `state`), "event" (`detail` is the frame), "gap" (events are missing; everything is subscribed to anew),
 * "refused" (`detail` has a binding that cannot be had, and the reason), "expired" (the token is good no longer).
 */

const PING_EVERY = 15000;
const ANSWER_WITHIN = 10000;
const COMMAND_WITHIN = 15000;
const LONGEST_WAIT = 15000;

/** Close codes after which trying again with the same token helps nobody. */
const EXPIRED = 4401;

/** How the server begins to say so in words, which it does when the token was bad from the beginning. */
const BAD_TOKEN = "failed to authenticate token";

/** The binding whose events make sense only together. */
const CALLS = "calls";

const NAME = "operator console";

export class EventSocket extends EventTarget {
  constructor(uri, token, accountId, bindings) {
    super();
    Object.assign(this, { uri, token, accountId, bindings });
    this.state = { online: false, since: null, nextTry: null, reason: "" };
    this.waiting = new Map();
    this.lastRequest = 0;
    this.failures = 0;
    this.session = null;
    this.sequence = 0;
    this.wanted = false;
    this.comeBack = () => this.retryNow();
  }

  /** Connect, now and whenever it is needed. */
  open() {
    this.wanted = true;
    window.addEventListener("online", this.comeBack);
    this.connect();
  }

  /** Disconnect for good. */
  close() {
    this.wanted = false;
    window.removeEventListener("online", this.comeBack);
    this.disconnect();
    this.socket?.close(1000);
    this.socket = null;
  }

  /** Do not wait any longer before trying again. */
  retryNow() {
    if (this.wanted && this.timer !== undefined) this.connect();
  }

  /** Act on a live call; the server's words. Raises Error with the reason why not. */
  async command(callId, command, data = {}) {
    const answer = await this.ask(
      { action: "command", data: { account_id: this.accountId, call_id: callId, command, data } },
      COMMAND_WITHIN,
    );
    return answer.response;
  }

  connect() {
    clearTimeout(this.timer);
    this.timer = undefined;
    let socket;
    try {
      socket = new WebSocket(this.uri);
    } catch (error) {
      // The browser will not even try, as with ws: from a page that came by https.
      this.lost(0, `the browser refuses to connect to ${this.uri}`);
      return;
    }
    this.socket = socket;
    const ifCurrent = (work) => (event) => {
      if (this.socket === socket) work(event);
    };
    socket.onopen = ifCurrent(() => this.greet(socket));
    socket.onmessage = ifCurrent((event) => this.hear(JSON.parse(event.data)));
    socket.onclose = ifCurrent((event) => this.lost(event.code, event.reason));
    this.deadline = setTimeout(() => socket.close(), ANSWER_WITHIN);
  }

  async greet(socket) {
    try {
      const known = this.session === null ? {} : { session: this.session, sequence: this.sequence };
      const answer = await this.ask({ action: "resume", auth_token: this.token, name: NAME, data: known });
      const before = this.session;
      this.session = answer.session;
      if (!answer.resumed) this.sequence = answer.sequence;
      if (answer.gap) this.dispatchEvent(new Event("gap"));
      // With a gap the snapshot of live calls may be among what is missing, so everything is asked for anew.
      if (answer.gap && answer.resumed) await this.ask({ action: "unsubscribe", data: {} });
      if (!answer.resumed || answer.gap || before === null) await this.subscribe();
      if (this.socket === socket) this.arrived();
    } catch (error) {
      if (this.socket !== socket) return;
      if (error.refused && error.message.startsWith(BAD_TOKEN)) this.expire();
      else this.lost(0, error.refused ? error.message : "");
    }
  }

  async subscribe() {
    const asked = this.bindings.map((binding) =>
      this.ask({ action: "subscribe", data: { account_id: this.accountId, binding } }).catch((error) => {
        // One that is not offered here takes none of the others with it.
        if (error.refused)
          this.dispatchEvent(new CustomEvent("refused", { detail: { binding, reason: error.message } }));
        else throw error;
      }),
    );
    await Promise.all(asked);
  }

  /** The server had to leave events out, because this page did not keep up. Only a new snapshot makes live calls right again. */
  missed(bindings) {
    this.dispatchEvent(new Event("gap"));
    if (!(CALLS in bindings)) return;
    const about = { account_id: this.accountId, binding: CALLS };
    Promise.all([
      this.ask({ action: "unsubscribe", data: about }),
      this.ask({ action: "subscribe", data: about }),
    ]).catch(() => this.socket?.close());
  }

  arrived() {
    clearTimeout(this.deadline);
    this.failures = 0;
    this.heard = true;
    this.pinging = setInterval(() => this.checkLife(), PING_EVERY);
    this.tell({ online: true, since: new Date(), nextTry: null, reason: "" });
  }

  checkLife() {
    if (!this.heard) {
      this.lost(0, "");
      return;
    }
    this.heard = false;
    this.ask({ action: "ping" }).catch(() => {});
  }

  disconnect() {
    clearTimeout(this.deadline);
    clearTimeout(this.timer);
    this.timer = undefined;
    clearInterval(this.pinging);
    for (const { reject } of this.waiting.values())
      reject(new Error("the connection is lost; whether the command was heard is not known"));
    this.waiting.clear();
  }

  lost(code, reason) {
    const socket = this.socket;
    this.socket = null;
    this.disconnect();
    socket?.close();
    if (!this.wanted) return;
    if (code === EXPIRED) {
      this.expire();
      return;
    }
    const longest = Math.min(LONGEST_WAIT, 1000 * 2 ** this.failures);
    const wait = longest * (0.5 + Math.random() / 2);
    this.failures += 1;
    this.timer = setTimeout(() => this.connect(), wait);
    const since = this.state.online ? new Date() : this.state.since;
    this.tell({
      online: false,
      since,
      nextTry: new Date(Date.now() + wait),
      reason: reason || this.state.reason,
    });
  }

  expire() {
    this.wanted = false;
    this.dispatchEvent(new Event("expired"));
  }

  tell(state) {
    this.state = state;
    this.dispatchEvent(new Event("state"));
  }

  ask(message, within = ANSWER_WITHIN) {
    this.lastRequest += 1;
    const requestId = String(this.lastRequest);
    return new Promise((resolve, reject) => {
      if (this.socket?.readyState !== WebSocket.OPEN) {
        reject(new Error("there is no connection to the server"));
        return;
      }
      const timer = setTimeout(() => {
        this.waiting.delete(requestId);
        reject(new Error("the server did not answer in time"));
      }, within);
      const settle = (work) => (value) => {
        clearTimeout(timer);
        work(value);
      };
      this.waiting.set(requestId, { resolve: settle(resolve), reject: settle(reject) });
      this.socket.send(JSON.stringify({ ...message, request_id: requestId }));
    });
  }

  hear(frame) {
    this.heard = true;
    if (typeof frame.sequence === "number") this.sequence = frame.sequence;
    if (frame.action === "event" && frame.name === "overflow") {
      this.missed(frame.data.bindings ?? {});
      return;
    }
    if (frame.action === "event") {
      this.dispatchEvent(new CustomEvent("event", { detail: frame }));
      return;
    }
    const waiting = this.waiting.get(frame.request_id);
    if (waiting === undefined) return;
    this.waiting.delete(frame.request_id);
    if (frame.status === "success") waiting.resolve(frame.data);
    else
      waiting.reject(
        Object.assign(new Error((frame.data?.errors ?? ["refused"]).join("; ")), { refused: true }),
      );
  }
}

/** Where the websockets are, from the page's own address and the settings of this installation. */
export function socketUri(place, page) {
  if (place.uri) return place.uri;
  const scheme = page.protocol === "https:" || place.secure ? "wss" : "ws";
  return `${scheme}://${page.hostname}:${place.port}/`;
}
