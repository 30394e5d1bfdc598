import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { BarChart, barPaths } from "../../kazoo_bridge/console/page/app/charts.js";
import { installDocument } from "./fake-dom.mjs";

beforeEach(() => {
  installDocument();
});

/** Return the start, height and width of each bar of a path. */
function bars(path) {
  const bar = /M([\d.]+) ([\d.]+)v-([\d.]+)h([\d.]+)v([\d.]+)z/g;
  return [...path.matchAll(bar)].map(([, left, bottom, height, width]) =>
    [left, bottom, height, width].map(Number),
  );
}

test("a full bar has the height of the chart below its margin", () => {
  const [path] = barPaths([[0, 10]], 10);
  assert.deepEqual(bars(path), [[180, 83, 78, 179.4]]);
});

test("bars of a series stand on those of the series before it", () => {
  const [lower, upper] = barPaths([[5], [2.5]], 10).map(bars);
  const [[, bottom, height]] = lower;
  assert.deepEqual(upper[0].slice(0, 3), [0, bottom - height, 19.5]);
});

test("zero has no bar", () => {
  assert.deepEqual(barPaths([[0, 0]], 1), [""]);
});

test("the scale ends at a round number, and the maximum is part of the label", () => {
  const chart = new BarChart("Attempts", [{ name: "a" }, { name: "b" }], "5 minutes");
  const scales = { 0: "1", 1: "1", 3: "5", 11: "20", 50: "50", 51: "100" };
  for (const [value, scale] of Object.entries(scales)) {
    chart.show(
      [
        [0, Number(value)],
        [0, 0],
      ],
      "fine",
    );
    assert.equal(chart.scale.textContent, scale, value);
  }
  assert.equal(chart.image.getAttribute("aria-label"), "Attempts: fine; at most 51 at a time");
});

test("a chart with one series has no legend", () => {
  const legendOf = (series) =>
    new BarChart("Rate", series, "2 minutes").element
      .descendants()
      .some((element) => element.getAttribute("class") === "chart-legend");
  assert.equal(legendOf([{ name: "a" }]), false);
  assert.equal(legendOf([{ name: "a" }, { name: "b" }]), true);
});
