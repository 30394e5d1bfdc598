/** Builds elements, and keeps lists of them in step with data. Markup is never parsed, so no text can become any. */

const SVG = "http://www.w3.org/2000/svg";

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "value" || name === "checked") node[name] = value;
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(
    ...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false),
  );
  return node;
}

/** An HTML element. `on…` are listeners; attributes that are null or false are left out, and so are such children. */
export function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** The same for SVG. */
export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

/** A button that submits nothing. */
export function button(label, onclick, attributes = {}) {
  return h("button", { type: "button", onclick, ...attributes }, label);
}

/** Put a text into a node, touching the document only when it is another one. */
export function setText(node, text) {
  const wanted = String(text ?? "");
  if (node.textContent !== wanted) node.textContent = wanted;
}

/** Set an attribute, or remove it when `value` is null or false; the document is touched only when that changes something. */
export function setAttribute(node, name, value) {
  if (value === null || value === undefined || value === false) {
    if (node.hasAttribute(name)) node.removeAttribute(name);
  } else if (node.getAttribute(name) !== String(value)) {
    node.setAttribute(name, value);
  }
}

/** Put the focus on the dialog that is open, or on the view, unless it is somewhere: without a place it would begin again at the top. */
export function focusView() {
  const active = document.activeElement;
  if (active !== null && active !== document.body && !active.disabled) return;
  const dialog = [...document.querySelectorAll("dialog[open]")].at(-1);
  (dialog ? dialog.querySelector("button") : document.querySelector("main[tabindex]"))?.focus({
    preventScroll: true,
  });
}

let lastId = 0;

/** An id that no other element has. */
export function freshId(word) {
  lastId += 1;
  return `${word}-${lastId}`;
}

/** A list whose elements live as long as their items, so that focus, selection and scrolling stay where they are; who has the focus when
 * it goes is followed by its neighbour. */
export class KeyedList {
  /** `make(item)` gives an element, which may have an `update(item)`, and a `gone()` for its end. */
  constructor(parent, make) {
    this.parent = parent;
    this.make = make;
    this.elements = new Map();
  }

  /** Show these items, in this order; `idOf` tells them apart. */
  show(items, idOf) {
    const wanted = new Set(items.map(idOf));
    const had = this.parent.contains(document.activeElement) ? document.activeElement : null;
    const focused = had ? [...this.parent.children].findIndex((element) => element.contains(had)) : -1;
    for (const [id, element] of this.elements) {
      if (!wanted.has(id)) {
        element.remove();
        element.gone?.();
        this.elements.delete(id);
      }
    }
    let place = this.parent.firstChild;
    for (const item of items) {
      const element = this.elementOf(idOf(item), item);
      element.update?.(item);
      if (element === place) place = place.nextSibling;
      else this.parent.insertBefore(element, place);
    }
    if (had !== null && document.activeElement !== had) this.focusAgain(had, focused);
  }

  focusAgain(had, at) {
    if (had.isConnected)
      had.focus({ preventScroll: true }); // moving an element takes the focus off it
    else {
      const heir = this.parent.children[Math.min(at, this.parent.children.length - 1)];
      (heir?.matches("[tabindex]") ? heir : heir?.querySelector("a, button, summary, input"))?.focus();
    }
    focusView();
  }

  elementOf(id, item) {
    let element = this.elements.get(id);
    if (element === undefined) {
      element = this.make(item);
      this.elements.set(id, element);
    }
    return element;
  }
}

/** Calls `work` soon, but not more often than every `milliseconds`, and only while the page can be seen. */
export function throttled(work, milliseconds) {
  let planned = false;
  let last = -Infinity;
  const run = (now) => {
    if (now - last < milliseconds) {
      requestAnimationFrame(run);
      return;
    }
    planned = false;
    last = now;
    work();
  };
  return () => {
    if (!planned) {
      planned = true;
      requestAnimationFrame(run);
    }
  };
}
