/** Helpers to build and update the DOM. Markup is never parsed, so text cannot inject elements. */

const SVG_NAMESPACE = "http://www.w3.org/2000/svg";

function initialize(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value" || name === "checked") element[name] = value;
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  const isContent = (child) => child !== null && child !== undefined && child !== false;
  element.append(...children.flat(Infinity).filter(isContent));
  return element;
}

/** Create an HTML element. Attributes named `on…` are listeners; null and false are left out. */
export function h(tag, attributes = {}, ...children) {
  return initialize(document.createElement(tag), attributes, children);
}

/** Create an SVG element; parameters as for `h`. */
export function svg(tag, attributes = {}, ...children) {
  return initialize(document.createElementNS(SVG_NAMESPACE, tag), attributes, children);
}

/**
 * Create a button that does not submit a form. A double click acts once: while a promise that `onclick` has
 * returned is pending, further clicks are ignored.
 */
export function button(label, onclick, attributes = {}) {
  const element = h("button", { type: "button", ...attributes }, label);
  if (onclick) element.addEventListener("click", (event) => runOnce(element, () => onclick(event)));
  return element;
}

/**
 * Create a button whose action has an effect outside the page each time. The further clicks of a double click
 * are ignored even if the action has ended, or the button has taken the place of another one, in between.
 */
export function singleClickButton(label, onclick, attributes = {}) {
  return button(label, (event) => (event.detail > 1 ? undefined : onclick(event)), attributes);
}

/** Run an action of a button unless the button is blocked, and block it until the action has ended. */
export async function runOnce(element, action) {
  if (isBlocked(element)) return;
  const result = action();
  if (!(result instanceof Promise)) return;
  setAttribute(element, "aria-busy", "true");
  try {
    await result;
  } finally {
    setAttribute(element, "aria-busy", null);
  }
}

/** Whether a button must not act now. Unlike a disabled one it keeps its place in the order of focus. */
export function isBlocked(element) {
  return element.getAttribute("aria-disabled") === "true" || element.getAttribute("aria-busy") === "true";
}

/** Set an element's text. Does not touch the document when the text is the same. */
export function setText(element, text) {
  const content = String(text ?? "");
  if (element.textContent !== content) element.textContent = content;
}

/** Set an attribute; null and false remove it. Does not touch the document when nothing changes. */
export function setAttribute(element, name, value) {
  if (value === null || value === undefined || value === false) {
    if (element.hasAttribute(name)) element.removeAttribute(name);
  } else if (element.getAttribute(name) !== String(value)) {
    element.setAttribute(name, value);
  }
}

/** Show `{kind, text}` on an element: the text, on one line, with the whole of it as a hint; null for none. */
export function showStatus(element, status) {
  setText(element, status?.text);
  setAttribute(element, "class", status ? `status ${status.kind}` : "status");
  setAttribute(element, "title", status?.text);
}

/** Move the focus from a search to the first of its results, `first()`, on Enter and the down arrow. */
export function toResults(event, first) {
  if (!["Enter", "ArrowDown"].includes(event.key) || event.isComposing) return;
  event.preventDefault();
  first()?.focus();
}

/** Return the open dialogs; the last one is on top. */
export function openDialogs() {
  return [...document.querySelectorAll("dialog[open]")];
}

/** Move lost focus to the open dialog or the view: from the body, Tab would restart at the top. */
export function ensureFocus() {
  const active = document.activeElement;
  if (active !== null && active !== document.body && !active.disabled) return;
  const dialog = openDialogs().at(-1);
  const target = dialog ? dialog.querySelector("button") : document.querySelector("main[tabindex]");
  target?.focus({ preventScroll: true });
}

let lastId = 0;

/** Return an element id that is unique on the page. */
export function uniqueId(prefix) {
  lastId += 1;
  return `${prefix}-${lastId}`;
}

/**
 * A list that keeps one element per item across updates, so that focus, selection and scroll position
 * survive. When the focused element is removed, focus moves to its neighbour.
 */
export class KeyedList {
  /** `create(item)` returns an element, optionally with `update(item)` and `onRemoved()`. */
  constructor(parent, create) {
    this.parent = parent;
    this.create = create;
    this.elements = new Map();
  }

  /** Show these items in this order; `keyOf(item)` identifies an item. */
  show(items, keyOf) {
    const keys = new Set(items.map(keyOf));
    const focused = this.parent.contains(document.activeElement) ? document.activeElement : null;
    const position = focused
      ? [...this.parent.children].findIndex((element) => element.contains(focused))
      : -1;
    for (const [key, element] of this.elements) {
      if (!keys.has(key)) {
        element.remove();
        element.onRemoved?.();
        this.elements.delete(key);
      }
    }
    let next = this.parent.firstChild;
    for (const item of items) {
      const element = this.getOrCreate(keyOf(item), item);
      element.update?.(item);
      if (element === next) next = next.nextSibling;
      else this.parent.insertBefore(element, next);
    }
    if (focused !== null && document.activeElement !== focused) this.restoreFocus(focused, position);
  }

  restoreFocus(element, position) {
    // An element that was moved, not removed, has lost focus as well.
    if (element.isConnected) element.focus({ preventScroll: true });
    else {
      const neighbour = this.parent.children[Math.min(position, this.parent.children.length - 1)];
      const focusable = neighbour?.matches("[tabindex]")
        ? neighbour
        : neighbour?.querySelector("a, button, summary, input");
      focusable?.focus();
    }
    ensureFocus();
  }

  getOrCreate(key, item) {
    let element = this.elements.get(key);
    if (element === undefined) {
      element = this.create(item);
      this.elements.set(key, element);
    }
    return element;
  }
}

/** Wrap `callback` to run at most every `intervalMs`, in an animation frame: not while the page is hidden. */
export function throttle(callback, intervalMs) {
  let scheduled = false;
  let lastRun = -Infinity;
  const run = (timestamp) => {
    if (timestamp - lastRun < intervalMs) {
      requestAnimationFrame(run);
      return;
    }
    scheduled = false;
    lastRun = timestamp;
    callback();
  };
  return () => {
    if (!scheduled) {
      scheduled = true;
      requestAnimationFrame(run);
    }
  };
}
