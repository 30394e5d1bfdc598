import assert from "node:assert/strict";
import { test } from "node:test";

import { attemptEvent, attemptQuery, bodyFields, toLocalInput } from "../../kazoo_bridge/console/page/app/attempt-filters.js";
import { toGregorian } from "../../kazoo_bridge/console/page/app/clock.js";

test("what is chosen becomes the server's filters, and nothing else", () => {
  assert.deepEqual(attemptQuery({}), {});
  assert.deepEqual(attemptQuery({ result: "failure", event: "sms", call: "c@1", from: "2026-11-27T08:30", to: "never" }), {
    filter_result: "failure",
    filter_event: "sms",
    filter_call_id: "c@1",
    created_from: String(toGregorian(new Date("2026-11-27T08:30"))),
  });
});

test("a date is formatted for its input in local time", () => {
  const date = new Date(2026, 0, 2, 3, 4);
  assert.equal(toLocalInput(date), "2026-01-02T03:04");
});

test("an attempt names its event, and what exactly has happened", () => {
  assert.equal(attemptEvent({ hook_event: "all", event: "channel_create", req_body: '{"call_id":"c"}' }), "channel_create");
  assert.equal(attemptEvent({ hook_event: "all", event: "object", req_body: '{"action":"doc_edited"}' }), "object (doc_edited)");
  assert.equal(attemptEvent({ hook_event: "object", req_body: "action=doc_created&type=user" }), "object (doc_created)");
  assert.equal(attemptEvent({ hook_event: "parking", req_body: '{"event_name":"PARK_PARKED"}' }), "parking (PARK_PARKED)");
  assert.equal(attemptEvent({ hook_event: "all", req_body: "hook_event=channel_create" }), "channel_create");
  assert.equal(attemptEvent({ hook_event: "sms", req_body: '{"event_name":"sms","action":7}' }), "sms");
});

test("the fields of a body that was cut, or is neither JSON nor a form, are unknown", () => {
  for (const body of ["", '{"call_id": "c', "null", "<xml>"]) assert.deepEqual(bodyFields(body), {}, body);
  assert.deepEqual(bodyFields("call_id=a%40b&n="), { call_id: "a@b", n: "" });
});
