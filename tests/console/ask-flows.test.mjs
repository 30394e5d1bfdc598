import assert from "node:assert/strict";
import { test } from "node:test";

import {
  describeFlow,
  flowToAnnouncement,
  flowToChoice,
  flowToPark,
  flowToVoicemail,
} from "../../kazoo_bridge/console/page/app/ask-flows.js";

const INES = { name: "Ines", number: "2003", userId: "u3" };
const BOX = { module: "voicemail", data: { action: "compose", id: "box" }, children: {} };
const FALLBACK = {
  module: "ring_group",
  data: {},
  children: { _: { module: "user", data: { id: "u1" }, children: { _: { module: "voicemail", data: { id: "box" } } } } },
};

test("a person rings, and has the voicemail box behind", () => {
  const choice = { value: "2003", option: { person: INES } };
  assert.deepEqual(flowToChoice(choice), { module: "user", data: { id: "u3" }, children: {} });
  assert.deepEqual(flowToChoice(choice, BOX).children, { _: BOX });
});

test("a number outside is called, an extension without a person leads nowhere", () => {
  assert.deepEqual(flowToChoice({ value: "+47 22 55 50 19", option: null }), {
    module: "resources",
    data: { to_did: "+4722555019" },
    children: {},
  });
  for (const value of ["2003", "Ines", "", "**2003"]) assert.equal(flowToChoice({ value, option: null }), null, value);
  assert.equal(flowToChoice({ value: "2003", option: { person: { ...INES, userId: null } } }), null);
});

test("the voicemail box is that of the settings, or the one of the fallback", () => {
  assert.deepEqual(flowToVoicemail("", FALLBACK), BOX);
  assert.equal(flowToVoicemail(" mine ", FALLBACK).data.id, "mine");
  assert.equal(flowToVoicemail("", { module: "user", data: { id: "u1" } }), null);
  assert.equal(flowToVoicemail("", null), null);
});

test("an announcement is a text or a medium, and the call ends", () => {
  const hangup = { module: "hangup", data: {}, children: {} };
  assert.deepEqual(flowToAnnouncement("We are closed"), {
    module: "tts",
    data: { text: "We are closed" },
    children: { _: hangup },
  });
  for (const id of ["0123456789abcdef0123456789abcdef", "/system_media/closed", "https://example.com/a.mp3"]) {
    const { module, data } = flowToAnnouncement(id);
    assert.deepEqual([module, data.id], ["play", id]);
  }
  assert.equal(flowToAnnouncement("  "), null);
});

test("a flow is described by where it leads", () => {
  assert.equal(describeFlow({ module: "user", data: { id: "u3" } }, [INES]), "Ines");
  assert.equal(describeFlow({ module: "user", data: { id: "gone" } }, [{ name: "x", userId: null }]), "a telephone");
  assert.equal(describeFlow(flowToPark(), []), "parked");
  assert.equal(describeFlow({ module: "resources", data: { to_did: "+15555550150" } }, []), "+1 555 555 0150");
  assert.equal(describeFlow({ module: "menu" }, []), "menu");
  assert.equal(describeFlow(null, []), "unknown");
});
