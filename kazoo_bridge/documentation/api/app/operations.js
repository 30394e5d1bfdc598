/** One operation: parameters, body, answers, and a request to paste. */

import { access, content, curl, exampleOf, resolved } from "./document.js";
import { codeBlock, element, lazyDetails, withCode } from "./dom.js";
import { parameterTable, schemaTree } from "./schemas.js";

/** Return the element of an operation, closed. */
export function operationDetails(document, entry, base) {
  const { id, method, path, operation } = entry;
  const summary = [
    element("span", { class: `method ${method}` }, method.toUpperCase()),
    element("code", { class: "path" }, path),
    element("span", { class: "summary" }, operation.summary ?? ""),
  ];
  return lazyDetails({ class: "operation", id }, summary, () => operationContent(document, entry, base));
}

function operationContent(document, entry, base) {
  const { id, operation } = entry;
  const parameters = (operation.parameters ?? []).map((one) => resolved(document, one));
  const body = content(document, operation.requestBody);
  return [
    element("p", {}, access(operation), " ", element("a", { href: `#${id}` }, "Link to this operation")),
    operation.description ? element("p", {}, withCode(operation.description)) : null,
    element("h3", {}, "Request"),
    codeBlock(curl(document, entry, base)),
    parameters.length ? parameterTable(document, parameters) : null,
    ...(body ? [element("h3", {}, `Body (${body.type})`), ...described(document, body.schema)] : []),
    element("h3", {}, "Answers"),
    ...Object.entries(operation.responses ?? {})
      .sort(([one], [other]) => one.localeCompare(other))
      .map(([status, response]) => answer(document, status, resolved(document, response))),
  ].filter(Boolean);
}

function answer(document, status, response) {
  const label = [element("code", { class: `status s${status[0]}` }, status), " ", ...withCode(response.description ?? "")];
  const body = content(document, response);
  if (!body?.schema) return element("p", { class: "answer" }, label);
  return lazyDetails({ class: "answer" }, label, () => described(document, body.schema));
}

function described(document, schema) {
  const example = JSON.stringify(exampleOf(document, schema), null, 2);
  return [...schemaTree(document, schema), lazyDetails({}, "Example", () => [codeBlock(example)])];
}
