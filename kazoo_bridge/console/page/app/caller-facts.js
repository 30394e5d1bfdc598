/** What this browser knows about a caller: the note, live calls, and recent calls. */

import { formatRelative } from "./clock.js";
import { t } from "./strings.js";

/** Return the facts about a number as texts, the most useful ones first; none for an unknown number. */
export function callerFacts(number, { notes, history, calls }) {
  if (!number) return [];
  const facts = [];
  const note = notes.of(number);
  if (note) facts.push(t("note.shown", { note }));
  const hasNumber = ({ caller, callee }) => [caller.number, callee.number].includes(number);
  const live = calls.calls.filter((call) => !call.endedAt && hasNumber(call)).length;
  // The call that is asked about is one of them.
  if (live > 1) facts.push(t("ask.fact.live", { count: live - 1 }));
  const recent = history.calls.filter((call) => call.number === number);
  if (!recent.length) return [...facts, t("ask.fact.new")];
  const [last] = recent;
  facts.push(t("ask.fact.recent", { count: recent.length, when: formatRelative(last.ended) }));
  facts.push(t(last.isMissed ? "ask.fact.missed" : "ask.fact.with", { party: last.other }));
  return facts;
}
