/** The geometry of charts: scales, ticks and the shapes of bars. Pure functions. */

/** Largest values of a scale, as multiples of a power of ten, each with the number of parts between its lines. */
const LIMITS = [
  [1, 2],
  [1.5, 3],
  [2, 2],
  [3, 3],
  [4, 2],
  [6, 3],
  [8, 2],
  [10, 2],
];

/** The fewest pixels between the labels of the time axis. */
const MIN_LABEL_DISTANCE = 70;

/** Seconds that lie between labels of the time axis. */
const TIME_STEPS = [10, 15, 30, 60, 120, 300, 600, 1800, 3600];

const BAR_GAP = 1;
const MIN_BAR_WIDTH = 0.5;

/**
 * Return the values of the lines of a scale for counts up to `max`, from 0 up. The last one is the scale's end:
 * a round number close to `max`, so that it stays the same over small changes and no space is wasted.
 */
export function countTicks(max) {
  const highest = Math.max(max, 1);
  const power = 10 ** Math.floor(Math.log10(highest));
  const [limit, parts] = LIMITS.find(([factor]) => factor * power >= highest);
  const step = (limit * power) / parts;
  // Counts are whole: a line between 0 and 1 means nothing.
  if (step < 1) return [0, limit * power];
  return Array.from({ length: parts + 1 }, (_, index) => index * step);
}

/** Return how many seconds before now the labels of a time axis are, over `spanS` seconds and `width` pixels. */
export function timeTicks(spanS, width) {
  const atMost = Math.max(1, Math.floor(width / MIN_LABEL_DISTANCE));
  const step = TIME_STEPS.find((one) => spanS / one <= atMost) ?? spanS;
  return Array.from({ length: Math.floor(spanS / step) }, (_, index) => (index + 1) * step).reverse();
}

/**
 * Return one SVG path per series: a bar for each value, stacked on the bars of the series before it. `scaleMax`
 * is the value at the top of the plot, which is `width` by `height` pixels.
 */
export function barPaths(values, scaleMax, width, height) {
  const slot = width / values[0].length;
  const unit = height / scaleMax;
  const barWidth = Math.max(slot - BAR_GAP, MIN_BAR_WIDTH).toFixed(2);
  const stacked = values[0].map(() => 0);
  return values.map((series) => {
    let path = "";
    series.forEach((value, index) => {
      if (value <= 0) return;
      const left = (index * slot).toFixed(2);
      const bottom = (height - stacked[index] * unit).toFixed(2);
      const barHeight = value * unit;
      stacked[index] += value;
      path += `M${left} ${bottom}v${(-barHeight).toFixed(2)}h${barWidth}v${barHeight.toFixed(2)}z`;
    });
    return path;
  });
}

/** Return the index of the bar at `x` of `width` pixels, of `count` bars. */
export function barAt(x, width, count) {
  return Math.min(count - 1, Math.max(0, Math.floor((x / width) * count)));
}
