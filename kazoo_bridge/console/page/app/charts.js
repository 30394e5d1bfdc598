/** Charts: stacked bars over time, as inline SVG. */

import { h, setText, svg } from "./dom.js";

const WIDTH = 360;
const HEIGHT = 84;

/** The next round number, so that the scale does not change with every bar. */
function roundUp(value) {
  const power = 10 ** Math.floor(Math.log10(Math.max(value, 1)));
  return [1, 2, 5, 10].map((step) => step * power).find((one) => one >= value);
}

export class BarChart {
  /** `series`: [{name, className}], drawn on top of each other. `span`: in words, what the whole width stands for. */
  constructor(title, series, span) {
    this.series = series;
    this.paths = series.map(({ className }) => svg("path", { class: className }));
    this.top = svg("text", { x: 2, y: 10 }, "");
    this.image = svg(
      "svg",
      { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", preserveAspectRatio: "none", class: "chart" },
      svg("line", { x1: 0, x2: WIDTH, y1: HEIGHT - 0.5, y2: HEIGHT - 0.5, class: "axis" }),
      this.paths,
    );
    this.scale = h("span", { class: "scale" });
    this.now = h("strong", {});
    this.element = h(
      "figure",
      { class: "chart-box" },
      h("figcaption", {}, h("span", {}, title), this.legend(), this.now),
      h("div", { class: "plot" }, this.scale, this.image),
      h("div", { class: "span", "aria-hidden": "true" }, h("span", {}, span), h("span", {}, "now")),
    );
    this.title = title;
  }

  legend() {
    if (this.series.length < 2) return null;
    return h(
      "span",
      { class: "legend" },
      this.series.map(({ name, className }) =>
        h(
          "span",
          {},
          svg(
            "svg",
            { viewBox: "0 0 8 8", class: "key", "aria-hidden": "true" },
            svg("rect", { width: 8, height: 8, class: className }),
          ),
          name,
        ),
      ),
    );
  }

  /** Show these values, a list for each of the series, the oldest first. `now` says in words how it stands. */
  show(values, now) {
    const totals = values[0].map((_, at) => values.reduce((sum, one) => sum + one[at], 0));
    const most = roundUp(Math.max(...totals, 1));
    const bar = WIDTH / totals.length;
    const base = totals.map(() => 0);
    values.forEach((one, which) => {
      let path = "";
      one.forEach((value, at) => {
        if (value <= 0) return;
        const bottom = HEIGHT - 1 - (base[at] / most) * (HEIGHT - 6);
        const height = (value / most) * (HEIGHT - 6);
        base[at] += value;
        path += `M${(at * bar).toFixed(2)} ${bottom.toFixed(2)}v${(-height).toFixed(2)}h${Math.max(bar - 0.6, 0.4).toFixed(2)}v${height.toFixed(2)}z`;
      });
      this.paths[which].setAttribute("d", path);
    });
    setText(this.scale, most);
    setText(this.now, now);
    this.image.setAttribute("aria-label", `${this.title}: ${now}; at most ${Math.max(...totals)} at a time`);
  }
}
