/** Count the calls, read from stdin, that the console names by a party that none of their legs has. */

import { readFileSync } from "node:fs";

import { LiveCalls } from "../../kazoo_bridge/console/page/app/calls.js";

const moments = JSON.parse(readFileSync(0, "utf8"));
let calls = 0;
const wrong = [];
for (const { legs, parties } of moments) {
  const live = new LiveCalls();
  live.applyEvent({ name: "snapshot", data: { calls: legs } });
  for (const call of live.calls) {
    calls += 1;
    const present = call.legs.map((leg) => parties[leg.call_id]);
    // Of a call with one leg, the number that was dialled is no party, and who is called has no leg yet.
    const hasCallee = call.legs.length > 1 || (call.state !== "ringing" && call.callee.name);
    const named = hasCallee ? [call.caller, call.callee] : [call.caller];
    const shown = named.map(({ name, number }) => name || number);
    const isWrong = shown[0] === shown[1] || shown.some((name) => !present.includes(name));
    if (isWrong) wrong.push({ shown, present });
  }
}
console.log(JSON.stringify({ calls, wrong: wrong.length, examples: wrong.slice(0, 3) }));
