// Prints the example of each body of the OpenAPI document, with all keys and with the required ones.
import { readFileSync } from "node:fs";

import { content, exampleOf, operationsByTag } from "../../kazoo_bridge/documentation/api/app/document.js";

const api = JSON.parse(readFileSync(process.env.OPENAPI, "utf8"));
const examples = [];
for (const { id, operation } of operationsByTag(api).flatMap((tag) => tag.operations)) {
  const body = content(api, operation.requestBody);
  if (!body) continue;
  for (const onlyRequired of [false, true]) {
    examples.push({ id, schema: body.schema, example: exampleOf(api, body.schema, onlyRequired) });
  }
}
console.log(JSON.stringify(examples));
