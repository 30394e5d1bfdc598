/** What an operator has set up in this browser: the phone, alerts, thresholds, and what the views show. */

import { preference, setPreference } from "./preferences.js";

/** Settings that mean something in one account only, with their defaults. */
const OF_ACCOUNT = {
  /** The operator's phone: `{type, id, name}` with the type "number", "user" or "device"; null for none. */
  phone: null,
  /** Park slots and conference rooms, as the operator has written them. */
  slots: "",
  conferences: "",
  /** Keys of people. */
  favourites: [],
  search: "",
  /** Names of the pivot points to be asked by, or "*" for all. */
  askFor: [],
  /** A voicemail box, and a medium or a text, as the operator has written them for callers. */
  askVoicemail: "",
  askAnnouncement: "",
};

/** Settings of this browser, with their defaults. */
const OF_BROWSER = {
  /** Seconds in a state until it turns amber, and red; 0 for never. */
  thresholds: { ringing: [15, 30], held: [60, 180], parked: [60, 180], answered: [0, 0] },
  /** Which ringing calls to report: "all", or "mine". */
  alertFor: "all",
  sound: false,
  notifications: false,
  autoAnswer: false,
  /** What is dialled before an extension to reach its voicemail box. */
  voicemailPrefix: "**",
  lane: "",
  direction: "",
  sort: { column: "time", descending: true },
  /** The panel beside the calls: "people", "recent", "" for none, or "auto": people where there is space. */
  panel: "auto",
};

/** Where panels stand beside the calls, not above them; like in style/operator.css. */
const WIDE_PAGE = "(min-width: 75rem)";

const DEFAULTS = { ...OF_ACCOUNT, ...OF_BROWSER };

/** Events: "change", when a setting was changed. */
export class OperatorSettings extends EventTarget {
  constructor(accountId) {
    super();
    this.accountId = accountId;
    /** Rows ask for settings at each update, and the storage is slow. */
    this.cache = new Map();
  }

  /** Return a setting; its default when the stored value has another form. */
  get(name) {
    if (!this.cache.has(name)) {
      const fallback = DEFAULTS[name];
      const value = preference(this.keyOf(name), fallback);
      this.cache.set(name, hasFormOf(value, fallback) ? value : fallback);
    }
    return this.cache.get(name);
  }

  /** The panel to show. */
  get panel() {
    const panel = this.get("panel");
    if (panel !== "auto") return panel;
    return globalThis.matchMedia?.(WIDE_PAGE).matches ? "people" : "";
  }

  set(name, value) {
    setPreference(this.keyOf(name), value);
    // A browser that stores nothing keeps it as long as the page.
    this.cache.set(name, value);
    this.dispatchEvent(new CustomEvent("change", { detail: name }));
  }

  keyOf(name) {
    return name in OF_ACCOUNT ? `operator.${this.accountId}.${name}` : `operator.${name}`;
  }
}

/** Whether a stored value can be used in place of a default: the storage may be another version's. */
function hasFormOf(value, fallback) {
  if (fallback === null) return value === null || isPhone(value);
  if (Array.isArray(fallback)) {
    if (!Array.isArray(value)) return false;
    return fallback.length ? value.length === fallback.length && fallback.every((one, at) => hasFormOf(value[at], one)) : true;
  }
  if (typeof value !== typeof fallback || Array.isArray(value) || value === null) return false;
  if (typeof fallback !== "object") return true;
  return Object.entries(fallback).every(([key, one]) => hasFormOf(value[key], one));
}

const isPhone = (value) =>
  typeof value === "object" &&
  ["number", "user", "device"].includes(value.type) &&
  typeof value.id === "string" &&
  typeof value.name === "string";
