/** Tables of parameters, and trees of schemas whose branches are made when they are opened. */

import { bounds, properties, resolved, typeName } from "./document.js";
import { element, lazyDetails, withCode } from "./dom.js";

/** Return the table of an operation's parameters. */
export function parameterTable(document, parameters) {
  const rows = parameters.map((parameter) => {
    const schema = resolved(document, parameter.schema);
    return element(
      "tr",
      {},
      element("td", {}, element("code", {}, parameter.name), parameter.required ? element("em", {}, " required") : ""),
      element("td", {}, parameter.in),
      element("td", {}, typeName(document, schema)),
      element("td", {}, withCode(meaningOf(parameter.description, schema))),
    );
  });
  const names = ["Parameter", "In", "Type", "Meaning"];
  return element(
    "table",
    {},
    element("thead", {}, element("tr", {}, names.map((name) => element("th", { scope: "col" }, name)))),
    element("tbody", {}, rows),
  );
}

/** Return the elements that describe a schema: its properties, or what it may be. */
export function schemaTree(document, schema) {
  const own = resolved(document, schema);
  const described = own.description ? element("p", {}, withCode(own.description)) : "";
  const rows = properties(document, own).map(([name, value, required]) => property(document, name, value, required));
  const choices = own.oneOf ?? own.anyOf ?? [];
  const more = typeof own.additionalProperties === "object" ? [property(document, "any other key", own.additionalProperties)] : [];
  const items = own.items && own.items !== true ? [property(document, "each item", own.items)] : [];
  const branches = choices.map((choice) => property(document, "either", choice));
  const all = [...rows, ...items, ...branches, ...more];
  if (!all.length) return [element("p", {}, [typeName(document, own), ...bounds(own)].join("; "))];
  return [described, element("ul", { class: "schema" }, all)].filter(Boolean);
}

function property(document, name, schema, required = false) {
  const own = resolved(document, schema);
  const label = [
    element("code", {}, name),
    " ",
    element("span", { class: "type" }, typeName(document, schema)),
    required ? element("em", {}, " required") : "",
  ];
  const meaning = meaningOf(own.description, own);
  const text = meaning ? element("span", { class: "meaning" }, withCode(` ${meaning}`)) : "";
  if (!hasParts(document, own)) return element("li", {}, label, text);
  return element("li", {}, lazyDetails({}, label, () => schemaTree(document, own)), text);
}

function meaningOf(description, schema) {
  return [description, ...bounds(schema)].filter(Boolean).join("; ");
}

function hasParts(document, schema) {
  if (properties(document, schema).length || typeof schema.additionalProperties === "object") return true;
  if (schema.items && schema.items !== true) return hasParts(document, resolved(document, schema.items));
  return (schema.oneOf ?? schema.anyOf ?? []).some((choice) => hasParts(document, resolved(document, choice)));
}
