/** Shows the service's OpenAPI document. */

import { matches, operationsByTag } from "./document.js";
import { element, withCode } from "./dom.js";
import { operationDetails } from "./operations.js";

const DOCUMENT = new URL("../../openapi.json", document.baseURI);

const main = document.querySelector("#operations");
const contents = document.querySelector("#contents");
const filter = document.querySelector("#filter");
const state = document.querySelector("#state");

function show(api) {
  const base = new URL(".", DOCUMENT).href.replace(/\/$/, "");
  const tags = operationsByTag(api);
  const shown = [];
  const paragraphs = (api.info.description ?? "").split(/\n\n+/).filter(Boolean);
  main.append(
    element("p", {}, `Version ${api.info.version}. In the examples TOKEN and ACCOUNT are your token and your account's id.`),
    ...paragraphs.map((text) => element("p", {}, withCode(text))),
  );
  for (const tag of tags) {
    const entries = tag.operations.map((entry) => ({ entry, details: operationDetails(api, entry, base) }));
    const heading = element("h2", { id: `tag-${tag.name}` }, tag.name);
    const section = element(
      "section",
      { "aria-labelledby": heading.id },
      heading,
      tag.description ? element("p", {}, withCode(tag.description)) : "",
      entries.map((one) => one.details),
    );
    const link = element("li", {}, element("a", { href: `#${heading.id}` }, `${tag.name} (${tag.operations.length})`));
    shown.push({ section, link, entries });
    main.append(section);
  }
  contents.append(element("ul", {}, shown.map((one) => one.link)));
  filter.addEventListener("input", () => applyFilter(shown));
  addEventListener("hashchange", openLinked);
  openLinked();
  applyFilter(shown);
}

function applyFilter(shown) {
  let count = 0;
  for (const { section, link, entries } of shown) {
    for (const { entry, details } of entries) details.hidden = !matches(entry, filter.value.trim());
    const visible = entries.filter(({ details }) => !details.hidden).length;
    section.hidden = link.hidden = !visible;
    count += visible;
  }
  state.textContent = filter.value.trim() ? `${count} operations match.` : `${count} operations.`;
}

function openLinked() {
  const linked = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (linked?.localName === "details") linked.open = true;
  linked?.scrollIntoView();
}

try {
  const response = await fetch(DOCUMENT);
  if (!response.ok) throw new Error(`the server answered with status ${response.status}`);
  show(await response.json());
} catch (error) {
  state.textContent = `openapi.json cannot be read: ${error.message}`;
} finally {
  main.removeAttribute("aria-busy");
}
