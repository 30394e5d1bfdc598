import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { curlOf, sampleCurl, shellQuote } from "../../kazoo_bridge/console/page/app/snippets.js";
import { VERIFICATION_CODE } from "../../kazoo_bridge/console/page/app/verification-code.js";

/** Let a shell split a command, with `printf` in place of curl, into the arguments that curl would get. */
function argumentsOf(command) {
  const script = `curl() { printf '%s\\0' "$@"; }; ${command}`;
  return execFileSync("sh", ["-c", script], { encoding: "utf8" }).split("\0").slice(0, -1);
}

test("a text is quoted so that a shell takes nothing in it for itself", () => {
  for (const text of ["a'b", "$(id) `id` \\ \" !", "", "line\nnext", "' ' ''"]) {
    assert.deepEqual(argumentsOf(`curl ${shellQuote(text)}`), [text]);
  }
});

test("the request of an attempt is repeated, without secrets and what curl adds itself", () => {
  const command = curlOf({
    method: "post",
    uri: "https://example.com/it's",
    req_headers: { "content-type": "application/json", host: "example.com", "x-key": "********", "x-list": ["a", "b"] },
    req_body: `{"name":"O'Neil"}`,
  });
  assert.deepEqual(argumentsOf(command), [
    ...["-i", "-X", "POST", "https://example.com/it's", "-H", "content-type: application/json"],
    ...["-H", "x-key: …", "-H", "x-list: a, b", "--data-raw", `{"name":"O'Neil"}`],
  ]);
});

test("a sample is sent in the format and with the method of the webhook", () => {
  const payload = { a: "b c", o: { x: 1 } };
  const body = (hook) => argumentsOf(sampleCurl({ uri: "https://example.com/?q=1", ...hook }, payload)).at(-1);
  assert.equal(body({ format: "json" }), JSON.stringify(payload));
  assert.equal(body({}), "a=b+c&o=%7B%22x%22%3A1%7D");
  assert.equal(body({ http_verb: "get" }), "https://example.com/?q=1&a=b+c&o=%7B%22x%22%3A1%7D");
});

test("the code that verifies signatures is that of the documentation", () => {
  const files = { hmac: ["verify.py", "verify.js"], ed25519: ["verify_ed25519.py", "verify_ed25519.js"] };
  for (const [kind, names] of Object.entries(files)) {
    Object.values(VERIFICATION_CODE[kind]).forEach((code, index) => {
      const documented = readFileSync(new URL(`../../docs/snippets/${names[index]}`, import.meta.url), "utf8");
      assert.ok(code.length > 300 && documented.startsWith(code), names[index]);
    });
  }
});
