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

/** Texts that are the same in English and German: names, units, and words of both languages. */
const SAME_IN_GERMAN = [
  ...["common.name", "sockets.name", "pivot.name", "chart.minutes", "chart.seconds", "ask.seconds", "pivot.ms"],
  ...["recording.on", "dialog.text", "event.kind.fax", "account.realm", "account.token", "signIn.token"],
  ...["ask.sent", "pivot.ofPoint", "pivot.url", "pivot.voiceUrl", "pivot.cdrUrl", "hook.url", "hook.title"],
  ...["view.webhooks", "signIn.webhooks", "view.sockets", "sockets.perSecond", "connection.live", "connection.offline"],
  ...["settings.theme.system", "hooks.share", "attempts.test", "attempts.duration", "hook.code", "form.format"],
];

test("every text is translated, except those that are the same in both languages", async () => {
  const { default: german } = await import(new URL("strings/de.js", APP));
  const isSame = (key) => JSON.stringify(german[key]) === JSON.stringify(english[key]);
  assert.deepEqual(Object.keys(english).filter(isSame).sort(), [...SAME_IN_GERMAN].sort());
});

/** Return a pattern for the keys that a template such as `lane.${name}` makes; null for one without fixed words. */
function keyPattern(template) {
  const parts = template.split(/\$\{[^}]*\}/).map((part) => part.replaceAll(".", "\\."));
  return /^[a-z]\w*\\\./i.test(parts[0]) ? new RegExp(`^${parts.join("[\\w.]+")}$`) : null;
}

test("every text is used", () => {
  const source = modulesOf("./")
    .filter(([name]) => !name.startsWith("strings/"))
    .map(([, text]) => text)
    .join("\n");
  const quoted = new Set([...source.matchAll(/"([\w.]+)"/g)].map(([, text]) => text));
  const patterns = [...source.matchAll(/`([^`\n]*\$\{[^`\n]*)`/g)].map(([, template]) => keyPattern(template)).filter(Boolean);
  // Modules that add the last word to a key: `options` of the dialog of a call, and the list of the sign-in page.
  const isCompleted = (key) => quoted.has(/^\w+\.\w+(?=\.\w+$)/.exec(key)?.[0]) || (key.endsWith("Detail") && quoted.has(key.slice(0, -6)));
  const isUsed = (key) => quoted.has(key) || isCompleted(key) || patterns.some((pattern) => pattern.test(key));
  assert.deepEqual(Object.keys(english).filter((key) => !isUsed(key)), []);
});
