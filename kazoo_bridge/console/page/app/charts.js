/** Charts: stacked bars over time, as inline SVG, with axes; the pointer reads off values. */

import { barAt, barPaths, countTicks, timeTicks } from "./chart-scale.js";
import { formatDuration, formatTime, now } from "./clock.js";
import { h, setAttribute, setText, svg } from "./dom.js";
import { t } from "./strings.js";

/** Pixels around the plot: for the labels of the axes. */
const MARGIN = { left: 34, top: 8, bottom: 20 };

const DEFAULT_SIZE = { width: 360, height: 120 };

export class BarChart {
  /** `series` is [{name, className}], bottom first; each bar covers `barSeconds`, the last one ends now. */
  constructor(title, series, barSeconds) {
    Object.assign(this, { title, series, barSeconds });
    this.size = DEFAULT_SIZE;
    this.values = null;
    this.paths = series.map(({ className }) => svg("path", { class: className }));
    this.cursor = svg("rect", { class: "chart-cursor", visibility: "hidden" });
    this.plot = svg("g", {}, this.cursor, this.paths);
    this.axes = svg("g", { "aria-hidden": "true" });
    this.image = svg("svg", { role: "img", class: "chart" }, this.axes, this.plot);
    this.image.addEventListener("pointermove", (event) => this.read(event));
    this.image.addEventListener("pointerleave", () => this.stopReading());
    this.summary = h("strong", {});
    this.element = h(
      "figure",
      { class: "chart-figure" },
      h("figcaption", {}, h("span", {}, title), this.legend(), this.summary),
      this.image,
    );
    // Drawn in pixels, so that text and lines are not stretched.
    new ResizeObserver(() => this.resize()).observe(this.image);
  }

  legend() {
    if (this.series.length < 2) return null;
    const swatch = (className) =>
      svg(
        "svg",
        { viewBox: "0 0 8 8", class: "chart-swatch", "aria-hidden": "true" },
        svg("rect", { width: 8, height: 8, rx: 2, class: className }),
      );
    return h(
      "span",
      { class: "chart-legend" },
      this.series.map(({ name, className }) => h("span", {}, swatch(className), name)),
    );
  }

  /** Show one list of values per series, oldest first. `summary` states the current value as text. */
  show(values, summary) {
    this.values = values;
    this.text = summary;
    const max = Math.max(...this.totals());
    this.image.setAttribute("aria-label", t("chart.label", { title: this.title, summary, max }));
    if (this.readAt === undefined) setText(this.summary, summary);
    else this.showValues(this.readAt);
    this.draw(max);
  }

  totals() {
    return this.values[0].map((_, index) => this.values.reduce((sum, series) => sum + series[index], 0));
  }

  resize() {
    const { clientWidth: width, clientHeight: height } = this.image;
    if (!width || (width === this.size.width && height === this.size.height)) return;
    this.size = { width, height };
    this.drawn = undefined;
    if (this.values) this.draw(Math.max(...this.totals()));
  }

  draw(max) {
    const width = this.size.width - MARGIN.left;
    const height = this.size.height - MARGIN.top - MARGIN.bottom;
    const ticks = countTicks(max);
    // The axes change seldom, the bars each second.
    const drawn = `${ticks.at(-1)} ${width} ${height}`;
    if (this.drawn !== drawn) {
      this.drawn = drawn;
      setAttribute(this.image, "viewBox", `0 0 ${this.size.width} ${this.size.height}`);
      setAttribute(this.plot, "transform", `translate(${MARGIN.left} ${MARGIN.top})`);
      this.axes.replaceChildren(...this.countAxis(ticks, width, height), ...this.timeAxis(width, height));
    }
    barPaths(this.values, ticks.at(-1), width, height).forEach((path, index) => {
      this.paths[index].setAttribute("d", path);
    });
  }

  countAxis(ticks, width, height) {
    return ticks.flatMap((value) => {
      const y = MARGIN.top + height - (value / ticks.at(-1)) * height;
      const className = value ? "chart-grid" : "chart-axis";
      return [
        svg("line", { x1: MARGIN.left, x2: MARGIN.left + width, y1: y, y2: y, class: className }),
        svg("text", { x: MARGIN.left - 6, y: y + 4, "text-anchor": "end" }, String(value)),
      ];
    });
  }

  timeAxis(width, height) {
    const span = this.values[0].length * this.barSeconds;
    const y = MARGIN.top + height;
    const label = (x, text, anchor) => svg("text", { x, y: y + 15, "text-anchor": anchor }, text);
    const ticks = timeTicks(span, width).flatMap((seconds) => {
      const x = MARGIN.left + width * (1 - seconds / span);
      const anchor = x === MARGIN.left ? "start" : "middle";
      return [
        svg("line", { x1: x, x2: x, y1: y, y2: y + 3, class: "chart-axis" }),
        label(x, agoText(seconds), anchor),
      ];
    });
    return [...ticks, label(MARGIN.left + width, t("chart.now"), "end")];
  }

  // -- reading values off

  read({ clientX }) {
    if (!this.values) return;
    const { left, width } = this.image.getBoundingClientRect();
    const count = this.values[0].length;
    const index = barAt(clientX - left - MARGIN.left, width - MARGIN.left, count);
    const slot = (this.size.width - MARGIN.left) / count;
    for (const [name, value] of Object.entries({
      x: index * slot,
      y: 0,
      width: slot,
      height: this.size.height - MARGIN.top - MARGIN.bottom,
      visibility: "visible",
    })) {
      setAttribute(this.cursor, name, value);
    }
    this.readAt = index;
    this.showValues(index);
  }

  showValues(index) {
    const ago = (this.values[0].length - 1 - index) * this.barSeconds;
    const values = this.series.map(({ name }, at) => `${this.values[at][index]} ${name}`).join(", ");
    setText(this.summary, `${formatTime(now() - ago)}: ${values}`);
  }

  stopReading() {
    this.readAt = undefined;
    setAttribute(this.cursor, "visibility", "hidden");
    setText(this.summary, this.text);
  }
}

function agoText(seconds) {
  if (seconds % 60 === 0) return t("chart.minutes", { count: seconds / 60 });
  return seconds < 60 ? t("chart.seconds", { count: seconds }) : formatDuration(seconds);
}
