import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";

import { chooseLanguage, language, languageNames, loadTexts, t, translator } from "../../kazoo_bridge/console/page/app/strings.js";
import english from "../../kazoo_bridge/console/page/app/strings/en.js";

const APP = new URL("../../kazoo_bridge/console/page/app/", import.meta.url);

const modulesOf = (folder) =>
  readdirSync(new URL(folder, APP), { recursive: true })
    .filter((name) => name.endsWith(".js"))
    .map((name) => [name, readFileSync(new URL(folder + name, APP), "utf8")]);

const translate = translator(
  { hello: "Hallo {name}, {name}", calls: { one: "{count} Anruf", other: "{count} Anrufe" } },
  "de",
  { hello: "Hello {name}", only: "Only English" },
);

test("values are filled in, each time, and unknown ones are left to be seen", () => {
  assert.equal(translate("hello", { name: "Ada" }), "Hallo Ada, Ada");
  assert.equal(translate("hello", {}), "Hallo {name}, {name}");
  assert.equal(translate("hello", { name: "{name} $&" }), "Hallo {name} $&, {name} $&");
});

test("a text by number follows the plural rules and number format of its language", () => {
  assert.equal(translate("calls", { count: 1 }), "1 Anruf");
  assert.equal(translate("calls", { count: 0 }), "0 Anrufe");
  assert.equal(translate("calls", { count: 1200 }), "1.200 Anrufe");
  const polish = translator({ n: { one: "a", few: "b", many: "c", other: "d" } }, "pl");
  assert.deepEqual([1, 3, 5].map((count) => polish("n", { count })), ["a", "b", "c"]);
});

test("a text that a language lacks is English, one that no language has its key", () => {
  assert.equal(translate("only", {}), "Only English");
  assert.equal(translate("none", {}), "none");
});

test("the first wanted language that exists is used, regional ones by their language", () => {
  assert.equal(chooseLanguage([null, "fr-CA", "de-AT", "en"], ["en", "de"]), "de");
  assert.equal(chooseLanguage(["fr"], ["en", "de"]), "en");
  assert.ok(language in languageNames());
  assert.equal(t("calls.title"), "Live calls");
});

test("the parts of a language share no key", () => {
  const keys = modulesOf("strings/en/").flatMap(([, source]) => source.match(/^ {2}"[\w.]+"(?=:)/gm) ?? []);
  assert.equal(new Set(keys).size, keys.length);
  assert.equal(keys.length, Object.keys(english).length);
});

test("every text that a module asks for exists", () => {
  const missing = modulesOf("./").flatMap(([name, source]) =>
    [...source.matchAll(/\bt\(\s*"([\w.]+)"/g)].filter(([, key]) => !(key in english)).map(([, key]) => `${name}: ${key}`),
  );
  assert.deepEqual(missing, []);
});

/** Return the names of the placeholders of a text, or of a text by plural category. */
const placeholders = (text) =>
  [...new Set([...JSON.stringify(text).matchAll(/\{(\w+)\}/g)].map(([, name]) => name))].sort();

test("every language has the same keys, with the same values, and its own plurals", async () => {
  for (const code of Object.keys(languageNames()).filter((one) => one !== "en")) {
    const { default: table } = await import(new URL(`strings/${code}.js`, APP));
    assert.deepEqual(Object.keys(table).sort(), Object.keys(english).sort(), code);
    const categories = new Intl.PluralRules(code).resolvedOptions().pluralCategories;
    for (const [key, text] of Object.entries(table)) {
      assert.deepEqual(placeholders(text), placeholders(english[key]), `${code}: ${key}`);
      assert.equal(typeof text, typeof english[key], `${code}: ${key}`);
      if (typeof text === "object") assert.deepEqual(Object.keys(text).sort(), [...categories].sort(), `${code}: ${key}`);
    }
  }
});

test("a language that cannot be loaded is replaced by English", async () => {
  const fails = { de: ["Deutsch", () => Promise.reject(new TypeError("Failed to fetch"))] };
  assert.deepEqual(await loadTexts("de", fails), ["en", english]);
  const loads = { de: ["Deutsch", async () => ({ default: { hello: "Hallo" } })] };
  assert.deepEqual(await loadTexts("de", loads), ["de", { hello: "Hallo" }]);
});
