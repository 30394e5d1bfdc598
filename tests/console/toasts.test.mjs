import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import {
  detachToasts,
  notify,
  notifyError,
  notifyProgress,
  withErrorToast,
} from "../../kazoo_bridge/console/page/app/toasts.js";
import { findButton, installDocument } from "./fake-dom.mjs";

let page;

beforeEach(() => {
  page = installDocument();
});

const texts = () => page.toasts.elements.map((toast) => toast.elements[0].textContent);

test("errors stay longer than notifications", () => {
  notify("saved");
  notifyError("failed");
  page.runTimers(6000);
  assert.deepEqual(texts(), ["failed"]);
  page.runTimers(15000);
  assert.deepEqual(texts(), []);
});

test("the oldest toast makes room for the fifth", () => {
  for (const text of ["1", "2", "3", "4", "5"]) notify(text);
  assert.deepEqual(texts(), ["2", "3", "4", "5"]);
});

test("a notification of something under way stays until its result replaces it", () => {
  const progress = notifyProgress("saving…");
  page.runTimers(60000);
  progress.update("still saving…");
  assert.deepEqual(texts(), ["still saving…"]);
  progress.succeed("saved");
  assert.deepEqual(texts(), ["saved"]);
  page.runTimers(6000);
  assert.deepEqual(texts(), []);
});

test("a result is shown even if the notification was dismissed", () => {
  const [failing, cancelled] = [notifyProgress("saving…"), notifyProgress("loading…")];
  findButton(page.toasts, "Dismiss").click();
  failing.fail("not saved");
  cancelled.dismiss();
  assert.deepEqual(texts(), ["not saved"]);
});

test("a toast can be dismissed", () => {
  notify("saved");
  findButton(page.toasts, "Dismiss").click();
  assert.deepEqual(texts(), []);
});

test("toasts move into an open dialog and out of it before it is removed", () => {
  const dialog = document.createElement("dialog");
  page.body.append(dialog);
  dialog.showModal();
  notify("saved");
  assert.ok(dialog.contains(page.toasts));
  detachToasts(dialog);
  assert.equal(page.toasts.parent, page.body);
});

test("withErrorToast returns whether the operation succeeded, and shows why it did not", async () => {
  assert.equal(await withErrorToast("Saving failed", async () => {}), true);
  assert.deepEqual(texts(), []);
  const fail = async () => {
    throw new Error("conflict");
  };
  assert.equal(await withErrorToast("Saving failed", fail), false);
  assert.deepEqual(texts(), ["Saving failed: conflict"]);
});
