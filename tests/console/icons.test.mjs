import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";

import { icon, setIcon } from "../../kazoo_bridge/console/page/app/icons.js";
import { installDocument } from "./fake-dom.mjs";

const PAGE = new URL("../../kazoo_bridge/console/page/", import.meta.url);
const sprite = readFileSync(new URL("vendor/lucide/icons.svg", PAGE), "utf8");
const inSprite = new Set([...sprite.matchAll(/<symbol id="([\w-]+)"/g)].map(([, name]) => name));

test("an icon names a symbol of the sprite, and is hidden from screen readers", () => {
  installDocument();
  const element = icon("phone", { class: "icon large" });
  assert.match(element.firstChild.getAttribute("href"), /vendor\/lucide\/icons\.svg#phone$/);
  assert.equal(element.getAttribute("aria-hidden"), "true");
  assert.equal(element.getAttribute("class"), "icon large");
  setIcon(element, "phone-off");
  assert.match(element.firstChild.getAttribute("href"), /#phone-off$/);
});

test("every icon that a module names is in the sprite", () => {
  const modules = readdirSync(new URL("app/", PAGE), { recursive: true }).filter((name) => name.endsWith(".js"));
  const missing = modules.flatMap((name) => {
    const source = readFileSync(new URL(`app/${name}`, PAGE), "utf8");
    const used = [...source.matchAll(/\b(?:icon|setIcon|tool)\((?:\w+, )?"([\w-]+)"/g)].map(([, one]) => one);
    return used.filter((one) => !inSprite.has(one)).map((one) => `${name}: ${one}`);
  });
  assert.ok(inSprite.size > 20);
  assert.deepEqual(missing, []);
});

test("the sprite contains nothing that runs or loads", () => {
  assert.doesNotMatch(sprite, /<script|\bon\w+=|href|url\(/);
});
