/** People as options of a field that asks for a number. */

import { partyName } from "./calls.js";
import { formatNumber } from "./numbers.js";
import { t } from "./strings.js";
import { suggest } from "./suggestions.js";

export const PERSON_STATES = {
  free: t("person.free"),
  ringing: t("person.ringing"),
  talking: t("person.talking"),
  dnd: t("person.dnd"),
  offline: t("person.offline"),
  unknown: t("person.unknown"),
};

/** Return the people that fit a text as options of a `Combobox`. */
export function personOptions(people, text, limit) {
  return suggest(people, text, limit).map((person) => ({
    key: person.key,
    name: person.name,
    detail: formatNumber(person.number),
    state: { kind: person.state, text: PERSON_STATES[person.state] },
    value: person.number,
    person,
  }));
}

/** Return how to call what was chosen in messages: a person with the number, or the number alone. */
export function choiceName({ value, option }) {
  return option?.person ? partyName(option.person) : value;
}
