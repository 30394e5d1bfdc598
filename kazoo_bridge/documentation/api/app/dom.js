/** Make an element. Keys of `attributes` are names of attributes, or `on…` with a listener; texts stay texts. */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
  return made;
}

/** Return the pieces of a text whose `code` is in backquotes. */
export function withCode(text) {
  return text.split(/`([^`]+)`/).map((part, index) => (index % 2 ? element("code", {}, part) : part));
}

/** Return a `details` whose content is made when it is opened for the first time. */
export function lazyDetails(attributes, summary, makeContent) {
  const details = element("details", attributes, element("summary", {}, summary));
  details.addEventListener("toggle", () => details.append(...makeContent()), { once: true });
  return details;
}

/** Return a piece of code with a button that copies it. */
export function codeBlock(text) {
  const button = element("button", { type: "button", class: "copy" }, "Copy");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Not allowed";
    }
  });
  return element("div", { class: "code" }, element("pre", { tabindex: "0" }, element("code", {}, text)), button);
}
