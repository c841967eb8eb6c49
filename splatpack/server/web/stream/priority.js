/** The priority function: which chunk a camera should get next (protocol.md, section 7). */

const SOON = 0.5;
const AHEAD = 0.2;
const BEHIND = 0.05;
const FULL = Math.PI / 4;
const FADED_AT = Math.PI / 3;
const FADED = 0.4;

/**
 * @typedef {object} Row what the function reads of a chunk
 * @property {number[]} centre of the box of its Gaussians
 * @property {number} radius half the diagonal of the box
 * @property {number} ball radius of what can be seen of it
 * @property {number} size bytes
 * @property {number} error
 * @property {number} gain
 * @property {number} parent -1 for none
 * @property {number} successors how many chunks replace it together
 */
/**
 * @typedef {object} View as in the message VIEW
 * @property {number[]} pos
 * @property {number[]} quat w, x, y, z: camera axes (x right, y down, z forward) to the scene's
 * @property {number} fov_y radians
 * @property {number[]} viewport width, height in pixels
 * @property {number[]} [vel]
 * @property {number[]} [angvel]
 * @property {number} [tau]
 */

/** @param {import("../spk/pages.js").Chunk} chunk @returns {Row} */
export function rowOf(chunk) {
  const { low, high } = chunk;
  const radius = Math.hypot(...low.map((x, k) => high[k] - x)) / 2;
  return {
    centre: low.map((x, k) => (x + high[k]) / 2),
    radius,
    ball: radius + Math.min(chunk.reach, radius),
    size: chunk.length,
    error: chunk.error,
    gain: chunk.gain > 0 ? chunk.gain : 4 ** chunk.level * radius ** 2,
    parent: chunk.parent,
    successors: chunk.successors,
  };
}

/**
 * The least distance that is told apart: a thousandth of the half diagonal of the box around all boxes.
 *
 * @param {{low: number[], high: number[]}[]} boxes
 */
export function nearOf(boxes) {
  const spans = [0, 1, 2].map((k) => {
    const low = boxes.reduce((least, box) => Math.min(least, box.low[k]), Infinity);
    const high = boxes.reduce((most, box) => Math.max(most, box.high[k]), -Infinity);
    return high - low;
  });
  return Math.max((1e-3 * Math.hypot(...spans)) / 2, 1e-9);
}

/** The matrix of a unit quaternion, by rows. @param {number[]} q w, x, y, z */
export function rotation([w, x, y, z]) {
  return [
    [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
    [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
    [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
  ];
}

/**
 * Scores and errors on the screen of chunks for one view.
 *
 * @param {View} view
 * @param {number} near
 * @param {number} [ahead] seconds to look ahead
 */
export function scorer(view, near, ahead = 0) {
  const now = { pos: view.pos, axes: rotation(view.quat) };
  const moves = [...(view.vel ?? []), ...(view.angvel ?? [])].some((x) => x !== 0);
  const then = ahead > 0 && moves ? predicted(view, now.axes, ahead) : null;
  const ty = Math.tan(view.fov_y / 2);
  const tx = (ty * view.viewport[0]) / view.viewport[1];
  const meets = (/** @type {number[]} */ p, /** @type {number} */ ball) =>
    (Math.abs(p[0]) - p[2] * tx) / Math.sqrt(1 + tx * tx) < ball &&
    (Math.abs(p[1]) - p[2] * ty) / Math.sqrt(1 + ty * ty) < ball &&
    p[2] > -ball;
  return {
    /** @param {Row} row */
    score(row) {
      const p = local(row.centre, now);
      const dist = Math.hypot(...p);
      const d = Math.max(dist - row.radius, near);
      let seen = p[2] > 0 ? AHEAD : BEHIND;
      if (then && meets(local(row.centre, then), row.ball)) seen = SOON;
      if (meets(p, row.ball)) seen = 1;
      return ((Math.sqrt(row.gain) / d) * seen * fade(p[2], dist, row.ball)) / Math.sqrt(row.size);
    },
    /** @param {Row} row pixels; infinite where the error is not known */
    pixels(row) {
      if (!(row.error > 0)) return Infinity;
      const d = Math.max(Math.hypot(...local(row.centre, now)) - row.radius, near);
      return (row.error * view.viewport[1]) / (2 * d * ty);
    },
  };
}

/**
 * The stand-in that a chunk replaces together with others, or -1.
 *
 * @param {Map<number, Row>} rows
 * @param {Row} row
 */
export function groupOf(rows, row) {
  return (rows.get(row.parent)?.successors ?? 0) > 0 ? row.parent : -1;
}

/**
 * The score of each chunk; the chunks that replace one stand-in get one, since they are of use only together.
 *
 * @param {Map<number, Row>} rows by number, all that are known
 * @param {(row: Row) => number} score
 * @returns {Map<number, number>}
 */
export function scores(rows, score) {
  const own = new Map([...rows].map(([i, row]) => [i, score(row)]));
  /** @type {Map<number, {size: number, squares: number}>} */
  const sums = new Map();
  for (const [i, row] of rows) {
    const group = groupOf(rows, row);
    const { size, squares } = sums.get(group) ?? { size: 0, squares: 0 };
    sums.set(group, { size: size + row.size, squares: squares + row.size * Number(own.get(i)) ** 2 });
  }
  for (const [i, row] of rows) {
    const group = groupOf(rows, row);
    const sum = sums.get(group);
    if (group >= 0 && sum) own.set(i, Math.sqrt(sum.squares / sum.size));
  }
  return own;
}

/** A point in camera axes. @param {number[]} point @param {{pos: number[], axes: number[][]}} camera */
function local(point, { pos, axes }) {
  const d = point.map((x, k) => x - pos[k]);
  return [0, 1, 2].map((k) => axes[0][k] * d[0] + axes[1][k] * d[1] + axes[2][k] * d[2]);
}

/** The camera after some seconds. @param {View} view @param {number[][]} axes @param {number} ahead */
function predicted(view, axes, ahead) {
  const spin = view.angvel ?? [0, 0, 0];
  const speed = Math.hypot(...spin);
  const s = speed > 0 ? Math.sin((speed * ahead) / 2) / speed : 0;
  const turn = rotation([Math.cos((speed * ahead) / 2), ...spin.map((x) => x * s)]);
  const turned = turn.map(([a, b, c]) => [0, 1, 2].map((k) => a * axes[0][k] + b * axes[1][k] + c * axes[2][k]));
  return { pos: view.pos.map((x, k) => x + (view.vel ?? [0, 0, 0])[k] * ahead), axes: turned };
}

/** 1 up to 45 degrees off the axis, falling to 0.4 at 60: by the nearest edge of the ball. */
function fade(/** @type {number} */ z, /** @type {number} */ dist, /** @type {number} */ ball) {
  if (dist <= ball) return 1;
  const angle = Math.acos(Math.min(Math.max(z / dist, -1), 1)) - Math.asin(ball / dist);
  const t = Math.min(Math.max((angle - FULL) / (FADED_AT - FULL), 0), 1);
  return 1 - (1 - FADED) * t;
}
