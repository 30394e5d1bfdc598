import assert from "node:assert/strict";
import { test } from "node:test";

import {
  LiveCalls,
  accountLeg,
  callName,
  legName,
  parkedLeg,
  remoteLeg,
  searchText,
} from "../../kazoo_bridge/console/page/app/calls.js";

const leg = (id, more = {}) => ({
  call_id: id,
  account_id: "a",
  state: "answered",
  direction: "inbound",
  timestamp: 63961574400,
  is_internal_leg: false,
  ...more,
});

const callerLeg = leg("a", {
  caller_id_name: "Solveig",
  caller_id_number: "+15550100",
  callee_id_number: "+15550199",
  other_leg_call_id: "b",
});
const calleeLeg = leg("b", {
  direction: "outbound",
  timestamp: 63961574402,
  callee_id_name: "Front Desk",
  callee_id_number: "2001",
  owner_id: "u1",
  other_leg_call_id: "a",
});

function applyEvents(...frames) {
  const calls = new LiveCalls();
  for (const [name, data] of frames) calls.applyEvent({ name, data });
  return calls;
}

test("two connected legs are one call, the older one first", () => {
  const [call, ...others] = applyEvents(["snapshot", { calls: [calleeLeg, callerLeg] }]).calls;
  assert.equal(others.length, 0);
  assert.equal(call.id, "a");
  assert.equal(callName(call), "Solveig (+15550100) to Front Desk (2001)");
  assert.equal(call.direction, "inbound");
  assert.equal(call.state, "answered");
});

test("a connection that only one leg reports merges both", () => {
  const { other_leg_call_id: _, ...unaware } = callerLeg;
  assert.equal(applyEvents(["snapshot", { calls: [unaware, calleeLeg] }]).calls.length, 1);
});

test("circular and dangling references between legs are harmless", () => {
  const ring = ["x", "y", "z"].map((id, at, all) => leg(id, { other_leg_call_id: all[(at + 1) % 3] }));
  const calls = applyEvents([
    "snapshot",
    {
      calls: [
        ...ring,
        leg("alone", { other_leg_call_id: "gone" }),
        leg("self", { other_leg_call_id: "self" }),
      ],
    },
  ]).calls;
  assert.deepEqual(
    calls.map((call) => call.legs.length),
    [3, 1, 1],
  );
});

test("internal legs connect other legs and are not shown", () => {
  const first = { ...callerLeg, other_leg_call_id: "loop" };
  const loop = leg("loop", { is_internal_leg: true, other_leg_call_id: "b" });
  const [call] = applyEvents([
    "snapshot",
    { calls: [first, loop, { ...calleeLeg, other_leg_call_id: "loop" }] },
  ]).calls;
  assert.deepEqual(
    call.legs.map((one) => one.call_id),
    ["a", "b"],
  );
});

test("a call rings until the callee answers, even if the switch has answered the caller", () => {
  const [call] = applyEvents(["snapshot", { calls: [callerLeg, { ...calleeLeg, state: "ringing" }] }]).calls;
  assert.equal(call.state, "ringing");
});

test("one held or parked leg determines the state of the call", () => {
  assert.equal(
    applyEvents(["snapshot", { calls: [callerLeg, { ...calleeLeg, state: "held" }] }]).calls[0].state,
    "held",
  );
  const [parked] = applyEvents([
    "snapshot",
    { calls: [{ ...callerLeg, state: "parked", parking_slot: "101" }] },
  ]).calls;
  assert.deepEqual([parked.state, parked.slot], ["parked", "101"]);
});

test("a call from the account to an extension is internal, to other numbers outbound", () => {
  const own = { owner_id: "u1", caller_id_number: "2001" };
  const directions = [
    leg("1", { ...own, callee_id_number: "2002" }),
    leg("2", { ...own, callee_id_number: "+15550100" }),
    leg("3", { ...own, to: "2003@realm.example.com" }),
  ].map((one) => applyEvents(["snapshot", { calls: [one] }]).calls[0].direction);
  assert.deepEqual(directions, ["internal", "outbound", "internal"]);
});

test("the account's leg holds and transfers, the remote leg is parked", () => {
  const [inbound] = applyEvents(["snapshot", { calls: [callerLeg, calleeLeg] }]).calls;
  assert.deepEqual([accountLeg(inbound).call_id, remoteLeg(inbound).call_id], ["b", "a"]);
  const caller = leg("c", { owner_id: "u1", other_leg_call_id: "d" });
  const called = leg("d", { direction: "outbound", timestamp: 63961574401, other_leg_call_id: "c" });
  const [outbound] = applyEvents(["snapshot", { calls: [caller, called] }]).calls;
  assert.deepEqual([accountLeg(outbound).call_id, remoteLeg(outbound).call_id], ["c", "d"]);
  const [single] = applyEvents(["snapshot", { calls: [callerLeg] }]).calls;
  assert.deepEqual([accountLeg(single).call_id, remoteLeg(single).call_id], ["a", "a"]);
});

test("a leg has the name of the party at its end", () => {
  assert.equal(legName(callerLeg), "Solveig (+15550100)");
  assert.equal(legName(calleeLeg), "Front Desk (2001)");
  assert.equal(legName(leg("n")), "unknown");
  assert.equal(legName(leg("f", { from: "alice@example.com" })), "alice");
});

test("an ended call stays in the list for a moment", () => {
  const calls = applyEvents(
    ["snapshot", { calls: [callerLeg, calleeLeg] }],
    ["removed", { call_ids: ["b"] }],
  );
  assert.deepEqual(
    calls.calls.map((call) => [call.id, call.state]),
    [["a", "answered"]],
  );
  calls.applyEvent({ name: "removed", data: { call_ids: ["a"] } });
  assert.deepEqual(
    calls.calls.map((call) => [call.id, call.state]),
    [["a", "ended"]],
  );
  calls.ended.get("a").endedAt -= 10;
  calls.tick();
  assert.deepEqual(calls.calls, []);
});

test("a snapshot replaces all legs", () => {
  const calls = applyEvents(
    ["snapshot", { calls: [callerLeg, calleeLeg] }],
    ["snapshot", { calls: [leg("new")] }],
  );
  assert.deepEqual(
    calls.calls.filter((call) => !call.endedAt).map((call) => call.id),
    ["new"],
  );
});

test("a call whose leg continues in another call has not ended", () => {
  const calls = applyEvents(["snapshot", { calls: [callerLeg, calleeLeg] }]);
  const [call] = calls.calls;
  calls.applyEvent({ name: "removed", data: { call_ids: ["a"] } });
  assert.deepEqual(
    calls.calls.map(({ id, state }) => [id, state]),
    [["a", "answered"]],
  );
  assert.equal(calls.findCurrent(call).legs.length, 1);
});

test("an unchanged call stays the same object", () => {
  const calls = applyEvents(["snapshot", { calls: [callerLeg, calleeLeg, leg("c")] }]);
  const [first, second] = calls.calls;
  calls.applyEvent({ name: "changed", data: { calls: [leg("c", { state: "held" })] } });
  assert.equal(calls.calls[0], first);
  assert.notEqual(calls.calls[1], second);
});

test("calls are stale from the first report of a lost switch until the next snapshot", () => {
  const calls = applyEvents(["snapshot", { calls: [] }], ["stale", {}]);
  const since = calls.staleSince;
  assert.ok(since > 0);
  calls.applyEvent({ name: "stale", data: {} });
  assert.equal(calls.staleSince, since);
  calls.applyEvent({ name: "snapshot", data: { calls: [] } });
  assert.equal(calls.staleSince, null);
});

test("every change is announced", () => {
  const calls = new LiveCalls();
  let changes = 0;
  calls.addEventListener("change", () => (changes += 1));
  calls.applyEvent({ name: "snapshot", data: { calls: [callerLeg] } });
  calls.setUnavailable("forbidden");
  calls.tick();
  assert.equal(changes, 2);
  assert.equal(calls.unavailableReason, "forbidden");
});

test("of two legs with the same timestamp, the inbound one is the caller's", () => {
  const inbound = leg("x", { other_leg_call_id: "y" });
  const outbound = leg("y", { direction: "outbound", other_leg_call_id: "x" });
  for (const legs of [
    [inbound, outbound],
    [outbound, inbound],
  ]) {
    const [call] = applyEvents(["snapshot", { calls: legs }]).calls;
    assert.deepEqual(
      call.legs.map((one) => one.call_id),
      ["x", "y"],
    );
  }
});

test("the account's leg of an inbound call is not the caller's, even if both belong to the account", () => {
  const call = (direction, ...owners) => ({
    direction,
    legs: owners.map((owner_id, index) => leg(`leg-${index}`, { owner_id })),
  });
  assert.equal(accountLeg(call("inbound", "u1", "u2")).call_id, "leg-1");
  assert.equal(accountLeg(call("inbound", "u1", undefined)).call_id, "leg-0");
  assert.equal(accountLeg(call("internal", "u1", "u2")).call_id, "leg-0");
  assert.equal(accountLeg(call("inbound", undefined, undefined)).call_id, "leg-0");
});

test("the remote leg is the one connected to the account's leg, otherwise any other", () => {
  const own = leg("own", { owner_id: "u1", other_leg_call_id: "remote" });
  const call = { direction: "outbound", legs: [own, leg("other"), leg("remote")] };
  assert.equal(remoteLeg(call).call_id, "remote");
  const unconnected = { direction: "outbound", legs: [{ ...own, other_leg_call_id: "gone" }, leg("other")] };
  assert.equal(remoteLeg(unconnected).call_id, "other");
  const selfReference = { direction: "outbound", legs: [{ ...own, other_leg_call_id: "own" }, leg("other")] };
  assert.equal(remoteLeg(selfReference).call_id, "other");
});

test("an ended call is not found, and stays until its display time is over", () => {
  const calls = applyEvents(["snapshot", { calls: [callerLeg] }]);
  const [call] = calls.calls;
  calls.applyEvent({ name: "removed", data: { call_ids: ["a"] } });
  assert.equal(calls.findCurrent(call), undefined);
  calls.tick();
  assert.equal(calls.calls.length, 1);
});

test("two answered legs are an answered call, a third that rings does not change it", () => {
  const ringing = leg("c", { state: "ringing", direction: "outbound", timestamp: 63961574403 });
  const [call] = applyEvents([
    "snapshot",
    { calls: [callerLeg, calleeLeg, { ...ringing, other_leg_call_id: "a" }] },
  ]).calls;
  assert.equal(call.state, "answered");
});

test("numbers with more than six digits and addresses are external", () => {
  const direction = (callee_id_number) =>
    applyEvents(["snapshot", { calls: [leg("1", { owner_id: "u1", callee_id_number })] }]).calls[0].direction;
  const directions = ["123456", "*97", "1234567", "alice"].map(direction);
  assert.deepEqual(directions, ["internal", "internal", "outbound", "outbound"]);
});

test("a party whose name is its number has only the number", () => {
  const [call] = applyEvents([
    "snapshot",
    { calls: [leg("1", { caller_id_name: "2001", caller_id_number: "2001", timestamp: undefined })] },
  ]).calls;
  assert.deepEqual(call.caller, { name: "", number: "2001" });
  assert.equal(call.since, Infinity);
});

/** A leg that the switch has called: `party` is at its end, and `caller` is its caller id. */
const called = (id, party, caller, more = {}) =>
  leg(id, {
    direction: "outbound",
    callee_id_name: party,
    callee_id_number: `${party}-number`,
    caller_id_name: caller,
    caller_id_number: `${caller}-number`,
    ...more,
  });

const onlyCall = (...legs) => {
  const [call, ...others] = applyEvents(["snapshot", { calls: legs }]).calls;
  assert.equal(others.length, 0);
  return call;
};

test("after a transfer of an outbound call each of two outbound legs is named by its own party", () => {
  // Ines called Yusuf and transferred him to Bjarne: Ines has left, but she still is Yusuf's caller id.
  const yusuf = called("yusuf", "Yusuf", "Ines", { other_leg_call_id: "bjarne" });
  const bjarne = called("bjarne", "Bjarne", "Ines", {
    timestamp: 63961574430,
    owner_id: "u2",
    other_leg_call_id: "yusuf",
  });
  const call = onlyCall(yusuf, bjarne);
  assert.equal(callName(call), "Yusuf (Yusuf-number) to Bjarne (Bjarne-number)");
  assert.match(searchText(call), /yusuf-number/);
  assert.doesNotMatch(searchText(call), /ines/);
  const before = onlyCall(leg("ines", { caller_id_name: "Ines", other_leg_call_id: "yusuf" }), yusuf);
  assert.equal(callName(before), "Ines to Yusuf (Yusuf-number)");
});

test("while the target of an attended transfer rings, a call is between the parties that talk", () => {
  const target = called("target", "Bjarne", "Solveig", {
    state: "ringing",
    timestamp: 63961574430,
    other_leg_call_id: "a",
  });
  const waiting = onlyCall({ ...callerLeg, state: "held" }, calleeLeg, target);
  assert.equal(callName(waiting), "Solveig (+15550100) to Front Desk (2001)");
  assert.match(searchText(waiting), /bjarne/);
  // The first leg is connected to the target before the transferring party has left.
  const answered = { ...target, state: "answered" };
  const complete = onlyCall({ ...callerLeg, other_leg_call_id: "target" }, calleeLeg, answered);
  assert.equal(callName(complete), "Solveig (+15550100) to Bjarne (Bjarne-number)");
});

test("while the target of a blind transfer rings, it is the other party", () => {
  const target = called("target", "Bjarne", "Yusuf", { state: "ringing", timestamp: 63961574430 });
  const call = onlyCall(called("yusuf", "Yusuf", "Ines"), { ...target, other_leg_call_id: "yusuf" });
  assert.equal(callName(call), "Yusuf (Yusuf-number) to Bjarne (Bjarne-number)");
  assert.equal(call.state, "ringing");
});

test("a party that retrieves a parked call is named by its inbound leg", () => {
  const retriever = leg("retriever", {
    caller_id_name: "Greta",
    caller_id_number: "2007",
    callee_id_name: "Slot 101",
    callee_id_number: "*3101",
    owner_id: "u3",
    timestamp: 63961574460,
    other_leg_call_id: "yusuf",
  });
  const call = onlyCall(called("yusuf", "Yusuf", "Ines", { other_leg_call_id: "retriever" }), retriever);
  assert.equal(callName(call), "Yusuf (Yusuf-number) to Greta (2007)");
});

test("parties of a call through loopback legs are those of its external legs", () => {
  const loop = called("loop", "2001", "Ines", { is_internal_leg: true, timestamp: 63961574401 });
  const call = onlyCall(
    called("yusuf", "Yusuf", "Ines", { other_leg_call_id: "loop" }),
    { ...loop, other_leg_call_id: "bjarne" },
    called("bjarne", "Bjarne", "Ines", { timestamp: 63961574402, other_leg_call_id: "loop" }),
  );
  assert.equal(callName(call), "Yusuf (Yusuf-number) to Bjarne (Bjarne-number)");
});

test("a party that the switch has called and that is left alone has no other party", () => {
  const parked = onlyCall(called("yusuf", "Yusuf", "Ines", { state: "parked", parking_slot: "101" }));
  assert.equal(callName(parked), "Yusuf (Yusuf-number)");
  assert.equal(parkedLeg(parked).call_id, "yusuf");
  assert.doesNotMatch(searchText(parked), /ines/);
  // A phone that rings shows who calls, even if the calling leg is not known.
  const ringing = onlyCall(called("bjarne", "Bjarne", "Yusuf", { state: "ringing" }));
  assert.equal(callName(ringing), "Yusuf (Yusuf-number) to Bjarne (Bjarne-number)");
});

test("the start of a call is that of its present legs", () => {
  const calls = applyEvents(["snapshot", { calls: [callerLeg, calleeLeg] }]);
  const [call] = calls.calls;
  calls.applyEvent({ name: "removed", data: { call_ids: ["a"] } });
  assert.equal(call.since, callerLeg.timestamp);
  assert.equal(calls.findCurrent(call).since, calleeLeg.timestamp);
});

test("a caller who is left alone is not shown with the party that has left", () => {
  // The callee id of a caller's leg becomes that of the party that answers.
  const alone = {
    ...callerLeg,
    callee_id_name: "Front Desk",
    callee_id_number: "2001",
    to: "+15550199@carrier",
  };
  assert.deepEqual(onlyCall({ ...alone, state: "ringing" }).callee, { name: "Front Desk", number: "2001" });
  assert.deepEqual(onlyCall(alone).callee, { name: "", number: "+15550199" });
  const parked = onlyCall({ ...alone, state: "parked", parking_slot: "101" });
  assert.equal(callName(parked), "Solveig (+15550100)");
});

test("a call keeps its id while one of its legs lives on, and a part that leaves it is another call", () => {
  const calls = new LiveCalls();
  const apply = (name, legs, ids = []) => {
    calls.applyEvent({ name, data: { calls: legs, call_ids: ids } });
    return calls.calls.filter(({ endedAt }) => !endedAt).map(({ id, legs: shown }) => `${id}: ${shown.map((one) => one.call_id)}`);
  };
  apply("snapshot", [callerLeg, calleeLeg]);
  const next = leg("c", { direction: "outbound", timestamp: 63961574500, other_leg_call_id: "b" });
  assert.deepEqual(apply("changed", [next], ["a"]), ["a: b,c"]);
  assert.deepEqual(apply("changed", [{ ...next, other_leg_call_id: undefined }]).sort(), ["a: b", "c: c"]);
  assert.deepEqual(apply("removed", [], ["b"]), ["c: c"]);
  assert.deepEqual(
    calls.calls.filter(({ endedAt }) => endedAt).map(({ id }) => id),
    ["a"],
  );
});
