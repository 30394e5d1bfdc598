/** Charts: stacked bars over time, as inline SVG. */

import { h, setText, svg } from "./dom.js";

const WIDTH = 360;
const HEIGHT = 84;

/** Space above the highest bar. */
const TOP_MARGIN = 6;

const BAR_GAP = 0.6;
const MIN_BAR_WIDTH = 0.4;

/** Round up to 1, 2, 5 or 10 times a power of ten, so that the scale stays the same over small changes. */
function roundUp(value) {
  const power = 10 ** Math.floor(Math.log10(Math.max(value, 1)));
  return [1, 2, 5, 10].map((step) => step * power).find((limit) => limit >= value);
}

/** Return one SVG path per series: a bar for each value, stacked on the bars of the series before it. */
export function barPaths(values, scaleMax) {
  const slot = WIDTH / values[0].length;
  const unit = (HEIGHT - TOP_MARGIN) / scaleMax;
  const width = Math.max(slot - BAR_GAP, MIN_BAR_WIDTH).toFixed(2);
  const stacked = values[0].map(() => 0);
  return values.map((series) => {
    let path = "";
    series.forEach((value, index) => {
      if (value <= 0) return;
      const left = (index * slot).toFixed(2);
      const bottom = (HEIGHT - 1 - stacked[index] * unit).toFixed(2);
      const height = value * unit;
      stacked[index] += value;
      path += `M${left} ${bottom}v${(-height).toFixed(2)}h${width}v${height.toFixed(2)}z`;
    });
    return path;
  });
}

export class BarChart {
  /** `series` is [{name, className}], bottom first; `spanLabel` describes the time that the width covers. */
  constructor(title, series, spanLabel) {
    this.title = title;
    this.series = series;
    this.paths = series.map(({ className }) => svg("path", { class: className }));
    this.image = svg(
      "svg",
      { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", preserveAspectRatio: "none", class: "chart" },
      svg("line", { x1: 0, x2: WIDTH, y1: HEIGHT - 0.5, y2: HEIGHT - 0.5, class: "chart-axis" }),
      this.paths,
    );
    this.scale = h("span", { class: "chart-scale" });
    this.summary = h("strong", {});
    this.element = h(
      "figure",
      { class: "chart-figure" },
      h("figcaption", {}, h("span", {}, title), this.legend(), this.summary),
      h("div", { class: "chart-plot" }, this.scale, this.image),
      h(
        "div",
        { class: "chart-span", "aria-hidden": "true" },
        h("span", {}, spanLabel),
        h("span", {}, "now"),
      ),
    );
  }

  legend() {
    if (this.series.length < 2) return null;
    const swatch = (className) =>
      svg(
        "svg",
        { viewBox: "0 0 8 8", class: "chart-swatch", "aria-hidden": "true" },
        svg("rect", { width: 8, height: 8, class: className }),
      );
    return h(
      "span",
      { class: "chart-legend" },
      this.series.map(({ name, className }) => h("span", {}, swatch(className), name)),
    );
  }

  /** Show one list of values per series, oldest first. `summary` states the current value as text. */
  show(values, summary) {
    const totals = values[0].map((_, index) => values.reduce((sum, series) => sum + series[index], 0));
    const max = Math.max(...totals);
    const scaleMax = roundUp(Math.max(max, 1));
    barPaths(values, scaleMax).forEach((path, index) => this.paths[index].setAttribute("d", path));
    setText(this.scale, scaleMax);
    setText(this.summary, summary);
    this.image.setAttribute("aria-label", `${this.title}: ${summary}; at most ${max} at a time`);
  }
}
