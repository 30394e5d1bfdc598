/** Which people fit what has been typed where a number is asked. */

import { fitsSearch } from "./numbers.js";

/** Extensions, feature codes, and numbers, also as people write them. */
const DIALLABLE = /^(?=.*[\d*#])[+*#\d(][\d*#\s()./-]*$/;

/** The order of equally good matches: a person that can be reached comes first. */
const STATE_ORDER = { free: 0, unknown: 0, ringing: 1, talking: 1, dnd: 2, offline: 2 };

/** Return at most `limit` people with a number that fit a text, the best match first. */
export function suggest(people, text, limit = 8) {
  const query = text.trim().toLowerCase();
  const fitting = people.filter(({ name, number }) => number && fitsSearch(query, `${name} ${number}`.toLowerCase()));
  const rank = ({ name, number, state, isFavourite }) => [
    number === query ? 0 : 1,
    query && (number.startsWith(query) || startsAWord(name, query)) ? 0 : 1,
    isFavourite ? 0 : 1,
    STATE_ORDER[state],
  ];
  const ranked = fitting.map((person, at) => [person, [...rank(person), at]]);
  ranked.sort(([, left], [, right]) => firstDifference(left, right));
  return ranked.slice(0, limit).map(([person]) => person);
}

/** Return the number to dial for a text: without what is only for reading; names and ids stay as they are. */
export function toNumber(text) {
  const trimmed = text.trim();
  return DIALLABLE.test(trimmed) ? trimmed.replace(/[\s()./-]/g, "") : trimmed;
}

/** Whether a text can be dialled. */
export function isDiallable(text) {
  return DIALLABLE.test(text.trim());
}

const startsAWord = (name, query) => ` ${name.toLowerCase()}`.includes(` ${query}`);

function firstDifference(left, right) {
  const at = left.findIndex((value, index) => value !== right[index]);
  return at < 0 ? 0 : left[at] - right[at];
}
