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

/** Settings that open tabs share at once; others, like the order of calls, belong to a tab until it is reloaded. */
const SHARED = ["favourites", "phone", "slots", "conferences", "thresholds"];

const DEFAULTS = { ...OF_ACCOUNT, ...OF_BROWSER };

/** Events: "change", when a setting was changed. */
export class OperatorSettings extends EventTarget {
  constructor(accountId) {
    super();
    this.accountId = accountId;
    /** Rows ask for settings at each update, and the storage is slow. */
    this.cache = new Map();
    /** Names of settings that the browser has not stored: these last as long as the page. */
    this.unstored = new Set();
  }

  /** Follow a change of another tab to the preference of this name. */
  onPreference(preferenceName) {
    const name = Object.keys(DEFAULTS).find((one) => this.keyOf(one) === preferenceName);
    if (!SHARED.includes(name) || this.unstored.has(name)) return;
    this.cache.delete(name);
    this.dispatchEvent(new CustomEvent("change", { detail: name }));
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
    if (setPreference(this.keyOf(name), value)) this.unstored.delete(name);
    else this.unstored.add(name);
    this.cache.set(name, value);
    this.dispatchEvent(new CustomEvent("change", { detail: name }));
  }

  /** Add a value to a list, or remove it: to or from the stored list, which another tab may have changed. */
  setIncluded(name, value, isIncluded) {
    if (!this.unstored.has(name)) this.cache.delete(name);
    const others = this.get(name).filter((one) => one !== value);
    this.set(name, isIncluded ? [...others, value] : others);
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
