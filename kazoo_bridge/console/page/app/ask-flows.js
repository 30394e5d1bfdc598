/** The flows that answer KAZOO's question about a call. Steps have the names of KAZOO's actions. */

import { formatNumber } from "./numbers.js";
import { t } from "./strings.js";
import { isDiallable, toNumber } from "./suggestions.js";

/** Steps of a flow that are searched for a voicemail box. */
const MAX_STEPS = 50;

/** An id of a document of KAZOO. */
const DOCUMENT_ID = /^[0-9a-f]{32}$/;

const step = (module, data = {}, next = null) => ({ module, data, children: next ? { _: next } : {} });

/** Ring a person, and lead to voicemail, if there is a box, when the person does not answer. */
export function flowToPerson({ userId }, voicemail = null) {
  return step("user", { id: userId }, voicemail);
}

/** Call a number outside. */
export function flowToNumber(number) {
  return step("resources", { to_did: toNumber(number) });
}

/** Return the flow to what was chosen in a `Combobox` of people; null if no flow leads there. */
export function flowToChoice({ value, option }, voicemail = null) {
  if (option?.person) return option.person.userId ? flowToPerson(option.person, voicemail) : null;
  const number = toNumber(value);
  // No step calls an extension: a flow rings the person instead.
  return isDiallable(value) && /^\+?\d{7,}$/.test(number) ? flowToNumber(number) : null;
}

export const flowToPark = () => step("park", { action: "park" });

/** Play a medium of KAZOO (an id, a path, or a URL), or speak a text, and hang up; null without either. */
export function flowToAnnouncement(text) {
  const content = text.trim();
  if (!content) return null;
  const isMedium = DOCUMENT_ID.test(content) || /^(\/|https?:)/.test(content);
  return isMedium ? step("play", { id: content }, step("hangup")) : step("tts", { text: content }, step("hangup"));
}

/** Return the step to a voicemail box: to the one with this id, or the first one of the fallback; null for none. */
export function flowToVoicemail(id, fallback) {
  const box = id.trim();
  if (box) return step("voicemail", { action: "compose", id: box });
  const waiting = fallback ? [fallback] : [];
  for (let count = 0; waiting.length && count < MAX_STEPS; count += 1) {
    const { module, data, children } = waiting.shift();
    if (module === "voicemail" && data?.id) return step("voicemail", { action: "compose", id: data.id });
    waiting.push(...Object.values(children ?? {}));
  }
  return null;
}

/** Describe where a flow leads; `people` are those of the account. */
export function describeFlow(flow, people) {
  const { module, data = {} } = flow ?? {};
  if (module === "user" || module === "device") {
    return people.find(({ userId }) => userId && userId === data.id)?.name ?? t("ask.to.telephone");
  }
  if (module === "resources") return formatNumber(data.to_did ?? "") || t("ask.to.outside");
  const key = { voicemail: "voicemail", park: "park", play: "announcement", tts: "announcement", hangup: "hangup" }[module];
  if (key) return t(`ask.to.${key}`);
  return module ?? t("ask.to.unknown");
}
