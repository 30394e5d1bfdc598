/** What the operator's views share: settings, time in state, history, notes, people, and alerts. */

import { RingAlerts, showNotification } from "./alerts.js";
import { AskMe } from "./ask-me.js";
import { partyName } from "./calls.js";
import { CallHistory } from "./call-history.js";
import { CallStates } from "./call-states.js";
import { isMyLeg } from "./my-phone.js";
import { Notes } from "./notes.js";
import { OperatorSettings } from "./operator-settings.js";
import { OutgoingCalls } from "./outgoing-calls.js";
import { setRingingCount } from "./page-title.js";
import { parseRanges } from "./park-slots.js";
import { People } from "./people.js";
import { followPreferences } from "./preferences.js";
import { isPresence } from "./presence.js";
import { playRingSound } from "./ring-sound.js";
import { t } from "./strings.js";

/** The directory is read again at most so often after changes. */
const RELOAD_DELAY_MS = 5000;

/** Types of documents that are people and their phones. */
const PEOPLE_TYPES = ["user", "device"];

export class Operator {
  /** `mayListen` is whether this installation allows to listen to calls. */
  constructor({ rest, socket, account, calls, commands }, mayListen = false) {
    Object.assign(this, { calls, commands, mayListen });
    this.settings = new OperatorSettings(account.id);
    this.states = new CallStates(calls);
    this.history = new CallHistory(account.id, this.states, this.settings);
    this.notes = new Notes(account.id);
    this.people = new People(rest, account.id, calls, this.settings);
    this.outgoing = new OutgoingCalls(socket, calls, this.settings);
    commands.isMine = (leg) => isMyLeg(leg, this.phone);
    this.askMe = new AskMe({ socket, rest, account }, this.settings, () => this.people.list());
    this.askMe.addEventListener("asked", ({ detail }) => this.announce(detail));
    const output = { setCount: setRingingCount, sound: playRingSound, show: showNotification };
    this.alerts = new RingAlerts(calls, this.states, this.settings, output);
  }

  /** The operator's phone, or null. */
  get phone() {
    return this.settings.get("phone");
  }

  /** The park slots that the operator has listed. */
  get slots() {
    return parseRanges(this.settings.get("slots"));
  }

  start() {
    this.stopFollowing = followPreferences((name) => {
      this.notes.onPreference(name);
      this.settings.onPreference(name);
    });
    this.people.load();
    this.askMe.start();
  }

  /** Report a question like a ringing call. */
  announce({ id, caller }) {
    const { settings } = this;
    if (settings.get("sound")) playRingSound();
    if (settings.get("notifications")) showNotification(t("ask.title", { caller: partyName(caller) }), "", id);
  }

  tick() {
    this.askMe.tick();
    this.states.update();
    this.people.learnFromCalls();
    this.alerts.tick();
  }

  /** Follow an event; return whether it is of use for the operator only. */
  onEvent(frame) {
    if (isPresence(frame)) {
      this.people.onPresence(frame);
      return true;
    }
    const kind = frame.subscribed_key.split(".")[0];
    if (kind === "pivot") {
      this.askMe.onEvent(frame);
      return true;
    }
    if (kind === "call") this.commands.recordings.onEvent(frame);
    if (kind === "object" && PEOPLE_TYPES.includes(frame.data.type)) {
      this.reloadTimer ??= setTimeout(() => {
        this.reloadTimer = undefined;
        this.people.load();
      }, RELOAD_DELAY_MS);
    }
    return false;
  }

  dispose() {
    this.stopFollowing?.();
    clearTimeout(this.reloadTimer);
    this.askMe.dispose();
    this.alerts.dispose();
    this.outgoing.dispose();
    this.history.dispose();
    this.states.dispose();
  }
}
