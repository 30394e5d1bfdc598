/** A fake of the parts of the DOM that the console's modules without views use. */

class FakeElement extends EventTarget {
  constructor(tag) {
    super();
    Object.assign(this, { tag, children: [], attributes: {}, parent: null, dataset: {} });
  }

  setAttribute(name, value) {
    this.attributes[name] = String(value);
  }

  getAttribute(name) {
    return this.attributes[name] ?? null;
  }

  hasAttribute(name) {
    return name in this.attributes;
  }

  removeAttribute(name) {
    delete this.attributes[name];
  }

  get elements() {
    return this.children.filter((child) => child instanceof FakeElement);
  }

  get firstChild() {
    return this.children[0] ?? null;
  }

  get nextSibling() {
    const siblings = this.parent?.children ?? [];
    return siblings[siblings.indexOf(this) + 1] ?? null;
  }

  get isConnected() {
    return document.body.contains(this);
  }

  get textContent() {
    return this.children.map((child) => child.textContent ?? child).join("");
  }

  set textContent(text) {
    this.children = [text];
  }

  append(...children) {
    for (const child of children) this.insertBefore(child, null);
  }

  insertBefore(child, next) {
    if (child instanceof FakeElement) {
      child.remove();
      child.parent = this;
    }
    this.children.splice(next === null ? this.children.length : this.children.indexOf(next), 0, child);
  }

  replaceChildren(...children) {
    this.children = [];
    this.append(...children);
  }

  remove() {
    if (this.parent === null) return;
    // Like in browsers, a removed element loses focus.
    if (this.contains(document.activeElement)) document.activeElement = document.body;
    this.parent.children.splice(this.parent.children.indexOf(this), 1);
    this.parent = null;
  }

  contains(other) {
    return this === other || this.elements.some((child) => child.contains(other));
  }

  descendants() {
    return this.elements.flatMap((child) => [child, ...child.descendants()]);
  }

  matches(selector) {
    if (selector === "[tabindex]") return this.hasAttribute("tabindex");
    if (selector === "main[tabindex]") return this.tag === "main" && this.hasAttribute("tabindex");
    if (selector === "dialog[open]") return this.tag === "dialog" && this.open === true;
    return selector.split(", ").includes(this.tag);
  }

  querySelectorAll(selector) {
    return this.descendants().filter((element) => element.matches(selector));
  }

  querySelector(selector) {
    return this.querySelectorAll(selector)[0] ?? null;
  }

  focus() {
    if (this.isConnected) document.activeElement = this;
  }

  showModal() {
    this.open = true;
  }

  close() {
    this.open = false;
    this.dispatchEvent(new Event("close"));
  }

  click() {
    this.dispatchEvent(new Event("click"));
  }

  getBoundingClientRect() {
    return { left: 100, right: 200, top: 100, bottom: 200, width: 100, height: 100 };
  }
}

/** Install a fresh document, with the region of the toasts, and timers that run only with `runTimers`. */
export function installDocument() {
  const body = new FakeElement("body");
  globalThis.document = {
    body,
    activeElement: body,
    visibilityState: "visible",
    createElement: (tag) => new FakeElement(tag),
    createElementNS: (_, tag) => new FakeElement(tag),
    getElementById: (id) => body.descendants().find((element) => element.attributes.id === id) ?? null,
    querySelectorAll: (selector) => body.querySelectorAll(selector),
    querySelector: (selector) => body.querySelector(selector),
  };
  const toasts = new FakeElement("div");
  toasts.setAttribute("id", "toasts");
  body.append(toasts);
  const timers = [];
  globalThis.setTimeout = (callback, delayMs) => timers.push({ callback, delayMs });
  globalThis.clearTimeout = (id) => id && (timers[id - 1].callback = () => {});
  const runTimers = (elapsedMs) => {
    for (const timer of [...timers]) if (timer.delayMs <= elapsedMs) timer.callback();
  };
  return { body, toasts, runTimers };
}

/** Find a button by its label, or by its text. */
export function findButton(element, label) {
  const labelOf = (button) => button.getAttribute("aria-label") ?? button.textContent;
  return element.descendants().find((child) => child.tag === "button" && labelOf(child) === label);
}
