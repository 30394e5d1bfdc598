/**
 * Telephone numbers as people read and search them.
 *
 * Where a country divides its numbers is not known here, except in the North American plan: groups of three
 * digits are as good to read aloud, and claim nothing about area codes.
 */

const NORTH_AMERICAN = /^\+1(\d{3})(\d{3})(\d{4})$/;

/** Country codes (ITU-T E.164) of one and of two digits; all others have three. */
const COUNTRY_CODE = /^(?:[17]|2[07]|3[0-469]|4[013-9]|5[1-8]|6[0-6]|8[1246]|9[0-58]|\d{3})/;

/** A number as it may be typed into a search, between spaces. */
const NUMBER_TERM = /^\+?[\d()./-]*\d[\d()./-]*$/;

/** Return a number for display; what is not a whole number in the international format stays as it is. */
export function formatNumber(number) {
  const parts = NORTH_AMERICAN.exec(number);
  if (parts) return `+1 ${parts.slice(1).join(" ")}`;
  const [, digits] = /^\+([2-9]\d{7,14})$/.exec(number) ?? [];
  if (!digits) return number;
  const [code] = COUNTRY_CODE.exec(digits);
  const groups = digits.slice(code.length).match(/\d{3}(?=\d{2})|\d+$/g);
  return `+${code} ${groups.join(" ")}`;
}

/**
 * Whether a text in lower case has all terms of a search. Of a number only the digits count, and a prefix of
 * zeros, as for calls to other areas or countries, need not be there.
 */
export function fitsSearch(search, text) {
  const terms = search.toLowerCase().split(/\s+/).filter(Boolean);
  return terms.every((term) => text.includes(term) || (NUMBER_TERM.test(term) && hasDigits(text, term)));
}

function hasDigits(text, term) {
  const digits = term.replace(/\D/g, "");
  const significant = digits.replace(/^0{1,2}(?=\d{2})/, "");
  const numbers = text.split(/\s+/).map((word) => word.replace(/\D/g, ""));
  return numbers.some((number) => number.includes(significant));
}
