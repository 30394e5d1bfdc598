/**
 * The texts that users see, by key, in the language of this browser.
 *
 * Each language is a module `strings/LANGUAGE.js` whose default export maps keys to texts. `{name}` in a text
 * stands for the value of that name. A text that depends on a number is an object of texts by plural category
 * (`one`, `few`, `other`…, as `Intl.PluralRules` names them), selected by the value `count`.
 */

import { preference } from "./preferences.js";
import english from "./strings/en.js";

/** Names of the languages, in the language itself, and how to load each; English is always loaded. */
const LANGUAGES = {
  en: ["English", async () => ({ default: english })],
  de: ["Deutsch", () => import("./strings/de.js")],
};

const PREFERENCE = "language";

const chosenLanguage = chooseLanguage(
  [preference(PREFERENCE, null), ...(globalThis.navigator?.languages ?? [])],
  Object.keys(LANGUAGES),
);

// Awaited here, so that every module that imports this one has the texts.
const [usedLanguage, table] = await loadTexts(chosenLanguage);

/** The language in use; a change of the preference needs a reload. */
export const language = usedLanguage;

/** The locale of dates and numbers: that of the browser for this language, with its region, or the language. */
export const locale = (globalThis.navigator?.languages ?? []).find((tag) => tag.split("-")[0] === language) ?? language;

const translate = translator(table, language);

/**
 * Load the texts of a language; `languages` has the form of `LANGUAGES`. Return its code and the texts: those of
 * English when the module cannot be loaded, so that the page does not stay empty.
 */
export async function loadTexts(code, languages = LANGUAGES) {
  try {
    return [code, (await languages[code][1]()).default];
  } catch {
    return ["en", english];
  }
}

/** Return the names of the languages by code. */
export function languageNames() {
  return Object.fromEntries(Object.entries(LANGUAGES).map(([code, [name]]) => [code, name]));
}

/** Return the text of a key with its values. A key without text in this language is shown in English. */
export function t(key, values = {}) {
  return translate(key, values);
}

/** Return the first wanted language ("de-AT" is satisfied by "de") among `available`; else the first of them. */
export function chooseLanguage(wanted, available) {
  for (const tag of wanted) {
    const code = String(tag ?? "").toLowerCase().split("-")[0];
    if (available.includes(code)) return code;
  }
  return available[0];
}

/** Return a function like `t` for a table of texts in a language, with English for what it lacks. */
export function translator(texts, code, fallback = english) {
  const plural = new Intl.PluralRules(code);
  const number = new Intl.NumberFormat(code);
  const fill = (text, values) =>
    text.replace(/\{(\w+)\}/g, (placeholder, name) => {
      const value = values[name];
      if (value === undefined) return placeholder;
      return typeof value === "number" ? number.format(value) : String(value);
    });
  return (key, values) => {
    const text = texts[key] ?? fallback[key];
    // A missing text is an error of the page; tests find it, and users can still guess from the key.
    if (text === undefined) return key;
    if (typeof text === "string") return fill(text, values);
    return fill(text[plural.select(Number(values.count))] ?? text.other, values);
  };
}
