/**
 * The websocket: subscribes for one account, reconnects after a lost connection, and resumes its session.
 *
 * Events: "state" (see `state`), "event" (`detail` is the frame), "gap" (events were lost), "rejected"
 * (`detail` is the binding that the server rejected, and the reason), "outcome" (`detail` is a later state of a
 * new call), "expired" (the token is invalid).
 */

import { t } from "./strings.js";

/** How often the connection is checked: a hung server is noticed within two intervals. */
const HEARTBEAT_INTERVAL_MS = 3500;

const REPLY_TIMEOUT_MS = 10000;
const COMMAND_TIMEOUT_MS = 15000;
const BASE_RETRY_DELAY_MS = 1000;
const MAX_RETRY_DELAY_MS = 15000;

/** The close code for a token that expired or was revoked: a new connection would fail as well. */
const TOKEN_EXPIRED_CODE = 4401;

/** How the server's error message begins for a token that was invalid from the start. */
const INVALID_TOKEN_MESSAGE = "failed to authenticate token";

/** The binding whose events are changes to a snapshot, so that a lost event requires a new snapshot. */
const CALLS_BINDING = "calls";

const CLIENT_NAME = "operator console";

export class EventSocket extends EventTarget {
  constructor(url, token, accountId, bindings) {
    super();
    Object.assign(this, { url, token, accountId, bindings });
    this.state = { online: false, lastOnline: null, nextAttempt: null, reason: "" };
    this.pending = new Map();
    this.lastRequestId = 0;
    this.failures = 0;
    this.session = null;
    /** The bindings of this session, with the rejected ones. */
    this.subscribed = new Set();
    /** The id of this socket in the list of sockets; null before the first connection. */
    this.socketId = null;
    this.sequence = 0;
    this.isOpen = false;
    this.onOnline = () => this.retryNow();
  }

  /** Connect, and reconnect whenever the connection is lost. */
  open() {
    this.isOpen = true;
    window.addEventListener("online", this.onOnline);
    this.connect();
  }

  /** Disconnect for good. */
  close() {
    this.isOpen = false;
    window.removeEventListener("online", this.onOnline);
    this.reset();
    this.socket?.close(1000);
    this.socket = null;
  }

  /** Skip the delay before the next attempt to connect. */
  retryNow() {
    if (this.isOpen && this.retryTimer !== undefined) this.connect();
  }

  /** Use another token of the same account from now on. Connects again if the previous token has expired. */
  renewToken(token) {
    this.token = token;
    // The server adopts the token of any message, so that the connection outlives the previous token.
    if (this.isOpen) this.request({ action: "ping", auth_token: token }).catch(() => {});
    else this.open();
  }

  /** Send a command to a live call and return the server's response. Throws `Error` with the reason. */
  async command(callId, command, data = {}) {
    const message = {
      action: "command",
      data: { account_id: this.accountId, call_id: callId, command, data },
    };
    const reply = await this.request(message, COMMAND_TIMEOUT_MS);
    return reply.response;
  }

  /**
   * Make a new call, with the command "originate" or "eavesdrop", and return what is known of it so far; its
   * later states arrive as events "outcome". Throws `Error` with the reason.
   */
  newCall(command, data) {
    const message = { action: "command", data: { account_id: this.accountId, command, data } };
    return this.request(message, COMMAND_TIMEOUT_MS);
  }

  /** Answer KAZOO's question about a call with a flow. Throws `Error` with the reason. */
  answerPivot(pivotId, flow, name) {
    const data = { account_id: this.accountId, pivot_id: pivotId, flow };
    return this.request({ action: "pivot", name: name ? `${CLIENT_NAME} (${name})` : CLIENT_NAME, data });
  }

  connect() {
    clearTimeout(this.retryTimer);
    this.retryTimer = undefined;
    let socket;
    try {
      socket = new WebSocket(this.url);
    } catch {
      // The browser refuses some URLs, like ws: from a page served over https.
      this.disconnected(0, t("error.browserRefuses", { url: this.url }));
      return;
    }
    this.socket = socket;
    // A replaced socket may still emit events.
    const ifCurrent = (handler) => (event) => {
      if (this.socket === socket) handler(event);
    };
    socket.onopen = ifCurrent(() => this.resume(socket));
    socket.onmessage = ifCurrent((event) => this.onFrame(JSON.parse(event.data)));
    socket.onclose = ifCurrent((event) => this.disconnected(event.code, event.reason));
    this.connectTimer = setTimeout(() => socket.close(), REPLY_TIMEOUT_MS);
  }

  async resume(socket) {
    try {
      const data = this.session === null ? {} : { session: this.session, sequence: this.sequence };
      const message = { action: "resume", auth_token: this.token, name: CLIENT_NAME, data };
      const reply = await this.request(message);
      this.session = reply.session;
      this.socketId = reply.websocket_session_id ?? null;
      if (!reply.resumed) this.sequence = reply.sequence;
      if (reply.gap) this.dispatchEvent(new Event("gap"));
      if (reply.gap || !reply.resumed) this.subscribed.clear();
      // The gap may include the snapshot of live calls, so all subscriptions are renewed.
      if (reply.gap && reply.resumed) await this.request({ action: "unsubscribe", data: {} });
      // Bindings may change while the replies are on their way.
      while (this.socket === socket) {
        const added = without(this.bindings, this.subscribed);
        const removed = without(this.subscribed, this.bindings);
        if (!added.length && !removed.length) break;
        await Promise.all([this.subscribe(added), this.unsubscribe(removed)]);
      }
      if (this.socket === socket) this.connected();
    } catch (error) {
      if (this.socket !== socket) return;
      if (error.rejected && error.message.startsWith(INVALID_TOKEN_MESSAGE)) this.expire();
      else this.disconnected(0, error.rejected ? error.message : "");
    }
  }

  /** Subscribe to further bindings, now or as soon as there is a connection. */
  addBindings(bindings) {
    const added = without(bindings, this.bindings);
    this.bindings = [...this.bindings, ...added];
    // A connection that breaks meanwhile subscribes again when it is back.
    if (this.state.online) this.subscribe(added).catch(() => {});
  }

  /** End subscriptions, now or as soon as there is a connection. */
  removeBindings(bindings) {
    this.bindings = without(this.bindings, bindings);
    if (this.state.online) this.unsubscribe(bindings).catch(() => {});
  }

  async subscribe(bindings) {
    await this.requestEach("subscribe", bindings, (binding, error) => {
      this.subscribed.add(binding);
      // A category that this installation lacks must not prevent the other subscriptions.
      if (error) this.dispatchEvent(new CustomEvent("rejected", { detail: { binding, reason: error.message } }));
    });
  }

  async unsubscribe(bindings) {
    await this.requestEach("unsubscribe", bindings, (binding) => this.subscribed.delete(binding));
  }

  /** Request an action for each binding; `onReply(binding, error)` is called with the server's error, if any. */
  async requestEach(action, bindings, onReply) {
    const requests = bindings.map(async (binding) => {
      try {
        await this.request({ action, data: { account_id: this.accountId, binding } });
      } catch (error) {
        if (!error.rejected) throw error;
        onReply(binding, error);
        return;
      }
      onReply(binding);
    });
    await Promise.all(requests);
  }

  /** Handle events that the server dropped because this page was too slow. Live calls need a new snapshot. */
  resubscribe(bindings) {
    this.dispatchEvent(new Event("gap"));
    if (!(CALLS_BINDING in bindings)) return;
    const data = { account_id: this.accountId, binding: CALLS_BINDING };
    const requests = ["unsubscribe", "subscribe"].map((action) => this.request({ action, data }));
    Promise.all(requests).catch(() => this.socket?.close());
  }

  connected() {
    clearTimeout(this.connectTimer);
    this.failures = 0;
    this.frameReceived = true;
    this.heartbeatTimer = setInterval(() => this.checkHeartbeat(), HEARTBEAT_INTERVAL_MS);
    this.setState({ online: true, lastOnline: new Date(), nextAttempt: null, reason: "" });
  }

  /** Disconnect when no frame, not even the reply to the last ping, has arrived since the last check. */
  checkHeartbeat() {
    if (!this.frameReceived) {
      this.disconnected(0, "");
      return;
    }
    this.frameReceived = false;
    this.request({ action: "ping" }).catch(() => {});
  }

  /** Stop all timers and fail the pending requests. */
  reset() {
    clearTimeout(this.connectTimer);
    clearTimeout(this.retryTimer);
    this.retryTimer = undefined;
    clearInterval(this.heartbeatTimer);
    for (const { reject } of this.pending.values()) {
      reject(new Error(t("error.connectionLost")));
    }
    this.pending.clear();
  }

  disconnected(code, reason) {
    const socket = this.socket;
    this.socket = null;
    this.reset();
    socket?.close();
    if (!this.isOpen) return;
    if (code === TOKEN_EXPIRED_CODE) {
      this.expire();
      return;
    }
    const maxDelay = Math.min(MAX_RETRY_DELAY_MS, BASE_RETRY_DELAY_MS * 2 ** this.failures);
    const delay = maxDelay * (0.5 + Math.random() / 2);
    this.failures += 1;
    this.retryTimer = setTimeout(() => this.connect(), delay);
    this.setState({
      online: false,
      lastOnline: this.state.online ? new Date() : this.state.lastOnline,
      nextAttempt: new Date(Date.now() + delay),
      reason: reason || this.state.reason,
    });
  }

  expire() {
    this.isOpen = false;
    window.removeEventListener("online", this.onOnline);
    if (this.state.online) this.setState({ ...this.state, online: false, lastOnline: new Date() });
    this.dispatchEvent(new Event("expired"));
  }

  setState(state) {
    this.state = state;
    this.dispatchEvent(new Event("state"));
  }

  /** Send a message and resolve to its reply's data. Throws `Error`; `rejected` marks the server's errors. */
  request(message, timeoutMs = REPLY_TIMEOUT_MS) {
    this.lastRequestId += 1;
    const requestId = String(this.lastRequestId);
    return new Promise((resolve, reject) => {
      if (this.socket?.readyState !== WebSocket.OPEN) {
        reject(new Error(t("error.notConnected")));
        return;
      }
      const timer = setTimeout(() => {
        this.pending.delete(requestId);
        reject(new Error(t("error.noReply")));
      }, timeoutMs);
      const settle = (callback) => (value) => {
        clearTimeout(timer);
        callback(value);
      };
      this.pending.set(requestId, { resolve: settle(resolve), reject: settle(reject) });
      this.socket.send(JSON.stringify({ ...message, request_id: requestId }));
    });
  }

  onFrame(frame) {
    this.frameReceived = true;
    if (typeof frame.sequence === "number") this.sequence = frame.sequence;
    if (frame.action === "event" && frame.name === "overflow") {
      this.resubscribe(frame.data.bindings ?? {});
      return;
    }
    if (frame.action === "event") {
      this.dispatchEvent(new CustomEvent("event", { detail: frame }));
      return;
    }
    if (frame.action === "command_outcome") {
      this.dispatchEvent(new CustomEvent("outcome", { detail: frame.data }));
      return;
    }
    const request = this.pending.get(frame.request_id);
    if (request === undefined) return;
    this.pending.delete(frame.request_id);
    if (frame.status === "success") {
      request.resolve(frame.data);
      return;
    }
    const message = (frame.data?.errors ?? ["rejected"]).join("; ");
    request.reject(Object.assign(new Error(message), { rejected: true }));
  }
}

/** Return the items of a list or a set that another one lacks. */
function without(items, others) {
  const lacked = new Set(others);
  return [...items].filter((item) => !lacked.has(item));
}

/** Return the URL of the websockets for a page at `page` (a `Location`), from the installation's settings. */
export function websocketUrl(settings, page) {
  if (settings.uri) return settings.uri;
  const scheme = page.protocol === "https:" || settings.secure ? "wss" : "ws";
  return `${scheme}://${page.hostname}:${settings.port}/`;
}
