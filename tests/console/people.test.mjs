import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { LiveCalls } from "../../kazoo_bridge/console/page/app/calls.js";
import { OperatorSettings } from "../../kazoo_bridge/console/page/app/operator-settings.js";
import { People } from "../../kazoo_bridge/console/page/app/people.js";
import { PERSON_STATES } from "../../kazoo_bridge/console/page/app/person-options.js";
import { RestError } from "../../kazoo_bridge/console/page/app/rest.js";
import { installStorage } from "./fake-storage.mjs";

let calls;
let answers;
let limits;
let people;

beforeEach(() => {
  installStorage();
  calls = new LiveCalls();
  answers = {};
  limits = [];
  const rest = {
    get: async (path, query, limit) => {
      limits.push(limit);
      const answer = answers[path.split("/").at(-1)];
      if (answer instanceof Error) throw answer;
      return answer ?? [];
    },
  };
  people = new People(rest, "account", calls, new OperatorSettings("account"));
});

const show = (...legs) => calls.applyEvent({ name: "snapshot", data: { calls: legs } });
const called = (number, name, more = {}) => ({
  call_id: `to ${number}`,
  state: "answered",
  direction: "outbound",
  callee_id_number: number,
  callee_id_name: name,
  owner_id: `owner of ${number}`,
  ...more,
});
const states = () => people.list().map(({ name, number, state }) => `${name} ${number} ${state}`);

test("people are learned from calls, and stay when the calls have ended", () => {
  show(
    called("2002", "Bo"),
    called("2001", "Ada", { state: "ringing" }),
    { ...called("2003", "", {}), direction: "inbound", state: "ringing", caller_id_number: "2003", caller_id_name: "Cy" },
    called("+15550100", "Customer"),
    { ...called("2009", "Guest"), owner_id: undefined },
  );
  assert.deepEqual(states(), ["Ada 2001 ringing", "Bo 2002 talking", "Cy 2003 talking"]);
  show();
  assert.deepEqual(states(), ["Ada 2001 free", "Bo 2002 free", "Cy 2003 free"]);
});

test("the directory names people, also those that have not called yet, and do not disturb", async () => {
  answers.users = [
    { id: "u1", first_name: "Ada", last_name: "Byron", presence_id: "2001" },
    { id: "u2", username: "bo@example.com", features: ["do_not_disturb"] },
    { id: "u4", first_name: "Di", extensions: ["2004"], presence_id: "9999" },
    { id: "u3", first_name: "Cy", caller_id: { internal: { number: "2003" } }, username: "cy" },
  ];
  answers.devices = [
    { id: "d1", name: "Bo's phone", owner_id: "u2", presence_id: "2002@example.com" },
    { id: "d2", owner_id: null },
  ];
  await people.load();
  show(called("2001", "ADA", { owner_id: "u1" }));
  assert.deepEqual(states(), ["Ada Byron 2001 talking", "bo@example.com 2002 dnd", "Cy 2003 free", "Di 2004 free"]);
  assert.deepEqual(people.devices, [
    { id: "d1", name: "Bo's phone" },
    { id: "d2", name: "d2" },
  ]);
});

test("an installation without a directory has the people of its calls, and other errors change nothing", async () => {
  answers.users = new RestError(404, "bad identifier");
  answers.devices = [{ id: "d1", name: "Desk" }];
  await people.load();
  assert.deepEqual([people.directory, people.devices.length], [[], 1]);
  answers.users = [{ id: "u1", first_name: "Ada", presence_id: "2001" }];
  await people.load();
  answers.users = new RestError(503, "datastore fault");
  await people.load();
  assert.equal(people.list()[0].name, "Ada");
  answers.users = new TypeError("a mistake");
  await assert.rejects(people.load());
});

test("presence shows calls that are not known otherwise, until they end", () => {
  show(called("2001", "Ada"));
  people.learnFromCalls();
  show();
  const presence = (state) => people.onPresence({ data: { presence_id: "2001@example.com", call_id: "x", state } });
  let changes = 0;
  people.addEventListener("change", () => (changes += 1));
  const seen = ["early", "confirmed", "terminated", "nonsense"].map((state) => {
    presence(state);
    return people.list()[0].state;
  });
  assert.deepEqual(seen, ["ringing", "talking", "free", "free"]);
  assert.equal(changes, 3);
});

test("favourites come first, and stay in the browser", () => {
  show(called("2001", "Ada"), called("2002", "Bo"));
  people.list();
  people.setFavourite("2002", true);
  assert.deepEqual(
    people.list().map(({ name, isFavourite }) => [name, isFavourite]),
    [
      ["Bo", true],
      ["Ada", false],
    ],
  );
  people.setFavourite("2002", false);
  assert.equal(people.list()[0].name, "Ada");
});

test("after a gap nothing is known of presence: the end of a call may have been lost", async () => {
  answers.users = [{ id: "u1", first_name: "Ada", presence_id: "2001" }];
  await people.load();
  people.onPresence({ data: { presence_id: "2001", call_id: "x", state: "confirmed" } });
  assert.equal(people.list()[0].state, "talking");
  let changes = 0;
  people.addEventListener("change", () => (changes += 1));
  people.onGap();
  assert.equal(people.list()[0].state, "free");
  assert.equal(changes, 1);
});

test("each state has a text, also that of a person without an extension", async () => {
  answers.users = [
    { id: "u1", first_name: "Ada" },
    { id: "u2", first_name: "Bo", presence_id: "2002" },
  ];
  await people.load();
  people.onPresence({ data: { presence_id: "2002", state: "offline" } });
  assert.deepEqual(
    people.list().map(({ state }) => [state, PERSON_STATES[state]]),
    [
      ["unknown", "no extension"],
      ["offline", "not available"],
    ],
  );
});

test("a large directory is read once per device, up to its limit, and sorted only when it changes", async () => {
  let reads = 0;
  const size = 6000;
  answers.users = Array.from({ length: size }, (_, id) => ({ id: `u${id}`, first_name: `N${id}` }));
  answers.devices = Array.from({ length: size }, (_, id) => ({
    id: `d${id}`,
    presence_id: String(10000 + id),
    get owner_id() {
      reads += 1;
      return `u${id}`;
    },
  }));
  await people.load();
  assert.deepEqual(limits, [5000, 5000]);
  assert.equal(people.directory.length, 5000);
  assert.equal(people.directory[1].number, "10001");
  assert.ok(reads <= 2 * size, `${reads} reads`);
  const realCompare = String.prototype.localeCompare;
  let comparisons = 0;
  String.prototype.localeCompare = function compare(...rest) {
    comparisons += 1;
    return realCompare.apply(this, rest);
  };
  try {
    people.list();
    const first = comparisons;
    assert.ok(first > 0);
    show(called("10001", "N1", { owner_id: "u1" }));
    assert.equal(people.list().find(({ key }) => key === "u1").state, "talking");
    assert.equal(comparisons, first);
    people.setFavourite("u7", true);
    assert.equal(people.list()[0].key, "u7");
    show(called("2001", "Ada"));
    assert.ok(people.list().some(({ name }) => name === "Ada"));
  } finally {
    String.prototype.localeCompare = realCompare;
  }
});
