/**
 * Makes a held key act once.
 *
 * Browsers repeat the key: Enter presses a button again and again, and what a key has opened receives the
 * repetitions, so that Enter on "Hang up" would confirm its own question.
 */

/** Keys that act; repetitions of others, like arrows, Tab and Backspace, are useful. */
const isAction = ({ key, target }, firstTarget) =>
  key === "Enter" || key === "Escape" || (target !== firstTarget && (key === "Delete" || key.length === 1));

/** Ignore the repetitions of keys that act, in a document. */
export function ignoreHeldKeys(page) {
  let firstTarget = null;
  const onKeyDown = (event) => {
    if (!event.repeat) firstTarget = event.target;
    else if (isAction(event, firstTarget)) event.preventDefault();
  };
  page.addEventListener("keydown", onKeyDown, { capture: true });
}
