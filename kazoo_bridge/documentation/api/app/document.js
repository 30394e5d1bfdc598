/** What the page reads from an OpenAPI document. Functions without a page, so that node can test them. */

const METHODS = ["get", "put", "post", "patch", "delete"];

/** A schema that refers to itself ends here in examples. */
const MAX_EXAMPLE_DEPTH = 8;

const MAX_TYPE_DEPTH = 3;

const NAME_START = "#/components/";

/** Return what a reference means, and anything else as it is. Only references into the document are known. */
export function resolved(document, thing) {
  let found = thing;
  for (let steps = 0; found?.$ref !== undefined && steps < 10; steps += 1) {
    found = found.$ref.startsWith(NAME_START)
      ? found.$ref.slice(2).split("/").reduce((part, name) => part?.[name.replaceAll("~1", "/").replaceAll("~0", "~")], document)
      : undefined;
  }
  return found ?? {};
}

/** Return the tags in the document's order, each with its operations: `{name, description, operations}`. */
export function operationsByTag(document) {
  const tags = new Map((document.tags ?? []).map((tag) => [tag.name, { ...tag, operations: [] }]));
  for (const [path, item] of Object.entries(document.paths)) {
    for (const method of METHODS.filter((name) => item[name])) {
      const operation = item[method];
      const name = operation.tags?.[0] ?? "other";
      if (!tags.has(name)) tags.set(name, { name, operations: [] });
      tags.get(name).operations.push({ id: operation.operationId ?? `${method} ${path}`, path, method, operation });
    }
  }
  return [...tags.values()].filter((tag) => tag.operations.length);
}

/** Return whether all words of a filter are in an operation's method, path, id or summary. */
export function matches(entry, text) {
  const { method, path, id, operation } = entry;
  const searched = `${method} ${path} ${id} ${operation.summary ?? ""} ${operation.tags?.join(" ") ?? ""}`.toLowerCase();
  return text.toLowerCase().split(/\s+/).every((word) => searched.includes(word));
}

/** Return who may call an operation, as a text. */
export function access(operation) {
  const security = operation.security ?? [];
  if (!security.length) return "No token is needed.";
  const tokenIsOptional = security.some((requirement) => !Object.keys(requirement).length);
  return tokenIsOptional ? "No token is needed; with a token the answer shows more." : "A token is needed.";
}

/** Return the name of a schema in short: `string`, `array of Hook`, `one of …`. */
export function typeName(document, schema, depth = 0) {
  if (schema?.$ref) return schema.$ref.split("/").at(-1);
  if (schema === true || !schema || depth > MAX_TYPE_DEPTH) return "any";
  if ("const" in schema) return JSON.stringify(schema.const);
  const choices = schema.oneOf ?? schema.anyOf;
  const name = (one) => typeName(document, one, depth + 1);
  if (choices) return [...new Set(choices.map(name))].join(" or ");
  if (schema.allOf && !schema.properties) return schema.allOf.map(name).join(" and ");
  const type = [schema.type ?? (schema.properties ? "object" : "any")].flat().join(" or ");
  if (schema.type === "array" && schema.items) return `array of ${name(schema.items)}`;
  return schema.format ? `${type} (${schema.format})` : type;
}

const BOUNDS = {
  minimum: "at least",
  exclusiveMinimum: "more than",
  maximum: "at most",
  minLength: "characters at least",
  maxLength: "characters at most",
  minItems: "items at least",
  maxItems: "items at most",
  maxProperties: "keys at most",
  pattern: "pattern",
};

/** Return the bounds of a schema's values as texts. */
export function bounds(schema) {
  const found = Object.entries(BOUNDS)
    .filter(([key]) => schema[key] !== undefined)
    .map(([key, words]) => `${words} ${schema[key]}`);
  if (schema.enum) found.unshift(`one of ${schema.enum.map((value) => JSON.stringify(value)).join(", ")}`);
  if (schema.default !== undefined) found.push(`default ${JSON.stringify(schema.default)}`);
  return found;
}

/**
 * Return the properties of a schema, those of all parts of an `allOf`, and of the first choice of an object that has
 * properties and choices: `[name, schema, required]`.
 */
export function properties(document, schema) {
  const own = resolved(document, schema);
  const choices = own.properties ? (own.anyOf ?? own.oneOf ?? []).slice(0, 1) : [];
  const parts = [own, ...[...(own.allOf ?? []), ...choices].map((part) => resolved(document, part))];
  const required = new Set(parts.flatMap((part) => part.required ?? []));
  const found = new Map(parts.flatMap((part) => Object.entries(part.properties ?? {})));
  return [...found].map(([name, value]) => [name, value, required.has(name)]);
}

/** Of these texts the first that a pattern allows is an example of it. */
const TEXTS = ["…", "example", "2001", "2xx", "0123456789abcdef0123456789abcdef", "whsec_c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"];

const EXAMPLE_ADDRESS = "https://example.com/";

const BY_TYPE = { integer: 1, number: 1, boolean: true, array: [], object: {}, null: null };

/** Return a value that a schema describes: its example or default, else one made of its type. */
export function exampleOf(document, schema, onlyRequired = false, depth = 0, name = "") {
  const own = resolved(document, schema);
  const inner = (one, key = "") => exampleOf(document, one, onlyRequired, depth + 1, key);
  if (own.examples?.length) return own.examples[0];
  for (const key of ["example", "const", "default"]) if (key in own) return own[key];
  if (own.enum) return own.enum[0];
  if (depth > MAX_EXAMPLE_DEPTH) return null;
  const shown = properties(document, own).filter(([, , required]) => required || !onlyRequired);
  if (shown.length || own.properties) return Object.fromEntries(shown.map(([key, value]) => [key, inner(value, key)]));
  const choice = own.oneOf ?? own.anyOf ?? own.allOf;
  if (choice?.length) return inner(choice[0]);
  if (own.type === "array") return own.items && own.items !== true ? [inner(own.items)] : [];
  if (own.type === "string" && own.format === "date-time") return "2026-11-27T20:57:21Z";
  const type = [own.type].flat()[0];
  if (type === "string") return textExample(own, name);
  const value = BY_TYPE[type] ?? null;
  return typeof value === "number" ? Math.max(value, own.minimum ?? value) : value;
}

function textExample(schema, name) {
  if (name === "uri" || name === "url") return EXAMPLE_ADDRESS;
  if (schema.pattern === undefined) return TEXTS[0];
  return [...TEXTS, EXAMPLE_ADDRESS].find((text) => allows(schema.pattern, text)) ?? TEXTS[0];
}

function allows(pattern, text) {
  try {
    return new RegExp(pattern, "u").test(text);
  } catch {
    return false; // a pattern in a form that browsers do not know
  }
}

/** Return the name of the variable of the shell that stands for a parameter of a path. */
export function variable(name) {
  return name === "account_id" ? "$ACCOUNT" : `$${name.toUpperCase()}`;
}

/** Return the media type and the schema of a body; undefined if there is none. */
export function content(document, body) {
  const [found] = Object.entries(resolved(document, body).content ?? {});
  return found && { type: found[0], schema: found[1].schema };
}

/** Return a request in the shell's language, for the service at `base`. */
export function curl(document, entry, base) {
  const { method, path, operation } = entry;
  const parameters = (operation.parameters ?? []).map((one) => resolved(document, one));
  const query = parameters
    .filter((one) => one.in === "query" && one.required)
    .map((one) => `${one.name}=${encodeURIComponent(exampleOf(document, one.schema))}`);
  const filled = path.replaceAll(/\{(\w+)\}/g, (_, name) => variable(name));
  const words = ["curl"];
  if (method !== "get") words.push("-X", method.toUpperCase());
  if (access(operation) !== "No token is needed.") words.push("-H", '"X-Auth-Token: $TOKEN"');
  const lines = [words.join(" ")];
  const body = content(document, operation.requestBody);
  if (body) {
    const example = exampleOf(document, body.schema, true);
    const text = body.type === "application/json" ? JSON.stringify(example) : formOf(example);
    lines.push(`-H 'Content-Type: ${body.type}'`, `-d ${quoted(text)}`);
  }
  lines.push(`"${base}${filled}${query.length ? `?${query.join("&")}` : ""}"`);
  return lines.join(" \\\n  ");
}

function formOf(example) {
  return Object.entries(example ?? {})
    .map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`)
    .join("&");
}

function quoted(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
