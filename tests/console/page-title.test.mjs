import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { test } from "node:test";

const ICONS = new URL("../../kazoo_bridge/console/page/icons/", import.meta.url);

const link = {
  href: "icon.svg?v=1",
  getAttribute: () => link.href,
  setAttribute: (_, value) => (link.href = value),
};
globalThis.document = { title: "", querySelector: () => link };
const { setRingingCount, setTitle } = await import("../../kazoo_bridge/console/page/app/page-title.js");

test("the title and the icon show how many calls ring, whichever view is open", () => {
  setTitle("Live calls");
  setRingingCount(3);
  assert.deepEqual([document.title, link.href], ["(3) Live calls", "icons/ringing-3.svg"]);
  setTitle("Events");
  assert.equal(document.title, "(3) Events");
  setRingingCount(12);
  assert.deepEqual([document.title, link.href], ["(12) Events", "icons/ringing-more.svg"]);
  setRingingCount(0);
  assert.deepEqual([document.title, link.href], ["Events", "icon.svg?v=1"]);
});

test("there is an icon for each count", () => {
  const icons = readdirSync(ICONS);
  for (let count = 1; count <= 10; count += 1) {
    setRingingCount(count);
    assert.ok(icons.includes(link.href.replace("icons/", "")), link.href);
  }
});
