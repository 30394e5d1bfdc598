/** Short messages: shown for a while at the edge of the page, and read out by screen readers. */

import { button, h } from "./dom.js";

const SHOWN_FOR = 6000;
const MOST = 4;

/** Say that something has happened. */
export function say(text) {
  show(text, "good", SHOWN_FOR);
}

/** Say that something did not work; it stays for longer, and can be closed. */
export function sayProblem(text) {
  show(text, "bad", SHOWN_FOR * 2.5);
}

/** Run something that may be refused, and say so when it is. Whether it worked. */
export async function trying(what, work) {
  try {
    await work();
    return true;
  } catch (error) {
    sayProblem(`${what}: ${error.message}`);
    return false;
  }
}

/** Keep messages that are shown in a dialog when it goes. */
export function freeMessages(dialog) {
  const region = document.getElementById("said");
  if (dialog.contains(region)) document.body.append(region);
}

function show(text, kind, milliseconds) {
  const region = document.getElementById("said");
  // While a modal dialog is open, what is outside of it is neither seen in front of it nor read out.
  const dialog = [...document.querySelectorAll("dialog[open]")].at(-1);
  if (dialog && !dialog.contains(region)) dialog.append(region);
  const note = h(
    "div",
    { class: `said ${kind}` },
    h("span", {}, text),
    button("✕", () => note.remove(), { class: "plain", "aria-label": "Dismiss" }),
  );
  region.append(note);
  while (region.children.length > MOST) region.firstChild.remove();
  setTimeout(() => note.remove(), milliseconds);
}
