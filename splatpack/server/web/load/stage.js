/** Where the populated part of a scene is: what the first camera looks at (as in splatpack.render.views). */

const CORNERS = [-1, 1].flatMap((x) => [-1, 1].flatMap((y) => [-1, 1].map((z) => [x, y, z])));
const SAMPLES = 2000; // of one chunk

/**
 * @typedef {object} Stage
 * @property {number[]} centre
 * @property {number} distance from where an orbiting camera sees the bulk of the scene
 */
/** @typedef {{at: number[], weight: number}} Point */

/**
 * The stage as the directory alone shows it: every box is taken for nine points.
 *
 * @param {{low: number[], high: number[], count: number}[]} boxes
 * @returns {Stage}
 */
export function stageOfBoxes(boxes) {
  const points = boxes.flatMap(({ low, high, count }) => {
    const middle = low.map((x, k) => (x + high[k]) / 2);
    const spread = CORNERS.map((corner) => middle.map((x, k) => x + corner[k] * 0.25 * (high[k] - low[k])));
    return [middle, ...spread].map((at) => ({ at, weight: count }));
  });
  return stageOf(points, 0);
}

/** Some Gaussians of a chunk: their places, their sizes (log-scales), and how many each stands for. */
/** @typedef {{points: Point[], sizes: number[]}} Sample */

/**
 * Take some Gaussians of a chunk; those that are hardly opaque do not count.
 *
 * @param {import("../spk/chunk.js").Gaussians} g
 * @returns {Sample}
 */
export function sampleOf({ n, means, scales, opacities }) {
  const weight = Math.max(1, Math.ceil(n / SAMPLES));
  /** @type {Sample} */
  const sample = { points: [], sizes: [] };
  for (let i = 0; i < n; i += weight) {
    if (opacities[i] <= Math.log(0.1 / 0.9)) continue;
    sample.points.push({ at: [...means.subarray(3 * i, 3 * i + 3)], weight });
    sample.sizes.push(Math.max(...scales.subarray(3 * i, 3 * i + 3)));
  }
  return sample;
}

/**
 * The stage of Gaussians that are here.
 *
 * @param {Sample[]} samples
 * @returns {Stage | null} null where nothing is opaque
 */
export function stageOfSamples(samples) {
  const points = samples.flatMap((sample) => sample.points);
  const sizes = samples.flatMap((sample) => sample.sizes).sort((a, b) => a - b);
  if (points.length === 0) return null;
  return stageOf(points, Math.exp(Math.min(Math.max(sizes[sizes.length >> 1], -40), 40)));
}

/** @param {Point[]} points @param {number} size of a usual Gaussian @returns {Stage} */
function stageOf(points, size) {
  const centre = [0, 1, 2].map((k) => quantile(points, (p) => p.at[k], 0.5));
  const far = (/** @type {Point} */ p) => Math.hypot(...p.at.map((x, k) => x - centre[k]));
  const radius = Math.max(quantile(points, far, 0.5), size);
  const distance = Math.max(2 * radius, 1.3 * quantile(points, far, 0.9), 4 * size);
  return { centre, distance: distance > 0 ? distance : 1 };
}

/** @param {Point[]} points @param {(p: Point) => number} value @param {number} share */
function quantile(points, value, share) {
  const sorted = points.map((p) => ({ x: value(p), weight: p.weight })).sort((a, b) => a.x - b.x);
  const total = sorted.reduce((sum, p) => sum + p.weight, 0);
  let seen = 0;
  for (const { x, weight } of sorted) {
    seen += weight;
    if (seen >= share * total) return x;
  }
  return sorted[sorted.length - 1].x;
}
