import assert from "node:assert/strict";
import { test } from "node:test";

import { fitsSearch, formatNumber } from "../../kazoo_bridge/console/page/app/numbers.js";

test("international numbers have their country code apart, and groups of digits", () => {
  const cases = {
    "+15555550150": "+1 555 555 0150",
    "+4930123456": "+49 301 234 56",
    "+493012345678": "+49 301 234 5678",
    "+35312345678": "+353 123 456 78",
    "+79161234567": "+7 916 123 4567",
    "+8613912345678": "+86 139 123 456 78",
  };
  for (const [number, shown] of Object.entries(cases)) assert.equal(formatNumber(number), shown);
});

test("what is no whole international number stays as it is", () => {
  for (const number of ["2001", "*97", "+15550100", "+1234567", "+0123456789", "030123456", "anonymous", ""]) {
    assert.equal(formatNumber(number), number);
  }
});

test("numbers are found by their digits, however they are written", () => {
  const text = "ada lovelace +15555550150 desk 2001";
  for (const search of ["(555) 555-0150", "+1 555 555 0150", "555.0150", "001 555 5550150", "ada 200", ""]) {
    assert.ok(fitsSearch(search, text), search);
  }
  assert.ok(fitsSearch("030 1234", "+49301234567"));
  // Digits of different numbers are not one number.
  for (const search of ["01502001", "555-0151", "bea", "ada-2001", "()"]) {
    assert.ok(!fitsSearch(search, text), search);
  }
});
