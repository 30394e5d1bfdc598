import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { BarChart } from "../../kazoo_bridge/console/page/app/charts.js";
import { installDocument } from "./fake-dom.mjs";

const SERIES = [
  { name: "succeeded", className: "good" },
  { name: "failed", className: "bad" },
];

beforeEach(() => {
  installDocument();
  globalThis.ResizeObserver = class {
    observe() {}
  };
});

const labels = (chart) => chart.axes.descendants().filter(({ tag }) => tag === "text").map((one) => one.textContent);

test("both axes have labels, and the summary is part of that of the image", () => {
  const chart = new BarChart("Attempts", SERIES, 5);
  chart.show([Array(60).fill(3), Array(60).fill(1)], "fine");
  assert.deepEqual(labels(chart), ["0", "2", "4", "4 min", "2 min", "now"]);
  assert.equal(chart.image.getAttribute("aria-label"), "Attempts: fine; at most 4 at a time");
  assert.equal(chart.summary.textContent, "fine");
});

test("the axes stay while the scale does", () => {
  const chart = new BarChart("Rate", SERIES, 1);
  chart.show([[1, 2], [0, 0]], "");
  const [axis] = chart.axes.children;
  chart.show([[2, 1], [0, 0]], "");
  assert.equal(chart.axes.children[0], axis);
  chart.show([[20, 1], [0, 0]], "");
  assert.notEqual(chart.axes.children[0], axis);
});

test("the pointer reads off the values of a bar, until it leaves, also while they change", () => {
  const chart = new BarChart("Attempts", SERIES, 5);
  chart.show([[1, 2, 3], [0, 5, 0]], "fine");
  // The image is from 100 to 200 pixels, and the plot begins after the labels.
  chart.read({ clientX: 168 });
  assert.match(chart.summary.textContent, /: 2 succeeded, 5 failed$/);
  assert.equal(chart.cursor.getAttribute("visibility"), "visible");
  chart.show([[2, 3, 4], [5, 0, 0]], "good");
  assert.match(chart.summary.textContent, /: 3 succeeded, 0 failed$/);
  chart.stopReading();
  assert.equal(chart.summary.textContent, "good");
  assert.equal(chart.cursor.getAttribute("visibility"), "hidden");
});

test("a chart with one series has no legend", () => {
  const legendOf = (series) =>
    new BarChart("Rate", series, 1).element
      .descendants()
      .some((element) => element.getAttribute("class") === "chart-legend");
  assert.equal(legendOf(SERIES.slice(0, 1)), false);
  assert.equal(legendOf(SERIES), true);
});
