import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { formatDateTime, now } from "../../kazoo_bridge/console/page/app/clock.js";
import {
  relativeTime,
  setRelativeTime,
  updateRelativeTimes,
} from "../../kazoo_bridge/console/page/app/relative-time.js";
import { installDocument } from "./fake-dom.mjs";

let page;

beforeEach(() => {
  page = installDocument();
});

test("a time shows how long ago it was, and the exact one on hover", () => {
  const at = now() - 125;
  const element = relativeTime(at);
  assert.match(element.textContent, /2/);
  assert.equal(element.getAttribute("title"), formatDateTime(at));
  setRelativeTime(element, null);
  assert.equal(element.textContent, "never");
  assert.equal(element.getAttribute("title"), null);
});

test("time passes on the page", () => {
  const element = relativeTime(now() - 125);
  page.body.append(element);
  element.setAttribute("data-at", now() - 7300);
  updateRelativeTimes({ querySelectorAll: () => [element] });
  assert.equal(element.textContent, relativeTime(now() - 7300).textContent);
});
