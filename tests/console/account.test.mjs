import assert from "node:assert/strict";
import { test } from "node:test";

import { RestError } from "../../kazoo_bridge/console/page/app/rest.js";
import { AccountView } from "../../kazoo_bridge/console/page/app/views/account.js";
import { installDocument } from "./fake-dom.mjs";

const settle = () => new Promise((resolve) => setImmediate(resolve));

/** Show the account; `answers` are the answers by the last segment of the path, errors and missing ones fail. */
async function show(answers) {
  installDocument();
  const rest = {
    limits: {},
    get: async (path, query, limit) => {
      const last = path.split("/").at(-1);
      rest.limits[last] = limit;
      const answer = answers[last] ?? new RestError(404, "bad identifier");
      if (answer instanceof Error) throw answer;
      return Array.isArray(answer) ? answer.slice(0, limit) : answer;
    },
  };
  const account = { id: "a", name: "Acme" };
  const view = new AccountView({ rest, account, session: { principal: account }, operator: { people: { list: () => [] } } });
  await settle();
  return { view, rest };
}

test("the number of sub-accounts is counted to a limit, and an error is not a number", async () => {
  const account = { id: "a", name: "Acme" };
  const several = (length) => Array.from({ length }, (_, id) => ({ id }));
  const shown = async (descendants) => {
    const { view } = await show({ a: account, descendants });
    return view.properties.textContent.split("Sub-accounts")[1];
  };
  assert.equal(await shown(several(2)), "2");
  assert.equal(await shown([]), "0");
  assert.equal(await shown(several(10_001)), "more than 10,000");
  assert.equal(await shown(new RestError(503, "datastore fault")), "Not available: datastore fault");
});

test("only the first tokens are read and shown, and the view says so", async () => {
  const tokens = Array.from({ length: 300 }, (_, id) => ({ id: `${id}`, created: 1 }));
  const { view, rest } = await show({ tokens });
  assert.equal(rest.limits.tokens, 201);
  assert.equal(view.tokens.elements.size, 200);
  assert.equal(view.tokenNote.textContent, "The first 200 tokens are shown; REST lists all of them.");
  const { view: other } = await show({ tokens: tokens.slice(0, 200) });
  assert.equal(other.tokens.elements.size, 200);
  assert.equal(other.tokenNote.textContent, "");
});
