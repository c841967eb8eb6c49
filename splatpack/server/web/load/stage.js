/** Where the populated part of a scene is: what the first camera looks at (the same rule as splatpack.render.views.stage). */

const CORNERS = [-1, 1].flatMap((x) => [-1, 1].flatMap((y) => [-1, 1].map((z) => [x, y, z])));
const SAMPLES = 20000;

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

/**
 * The stage of Gaussians that are here; those that are hardly opaque do not count.
 *
 * @param {{means: Float32Array, opacities: Float32Array, scales: Float32Array}[]} parts
 * @returns {Stage}
 */
export function stageOfGaussians(parts) {
  const total = parts.reduce((sum, part) => sum + part.opacities.length, 0);
  const step = Math.max(1, Math.floor(total / SAMPLES));
  /** @type {Point[]} */
  const points = [];
  /** @type {number[]} */
  const sizes = [];
  for (const { means, opacities, scales } of parts) {
    for (let i = 0; i < opacities.length; i += step) {
      if (opacities[i] <= Math.log(0.1 / 0.9)) continue;
      points.push({ at: [...means.subarray(3 * i, 3 * i + 3)], weight: 1 });
      sizes.push(Math.max(...scales.subarray(3 * i, 3 * i + 3)));
    }
  }
  if (points.length === 0) return { centre: [0, 0, 0], distance: 2 };
  const middle = sizes.sort((a, b) => a - b)[sizes.length >> 1];
  return stageOf(points, Math.exp(Math.min(Math.max(middle, -40), 40)));
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
