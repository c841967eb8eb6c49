/** Cameras: a point that is looked at, directions, distance; and the matrices that follow. */

/** Right, up and front of each frame, as in splatpack/render/views.py. */
const AXES = {
  rdf: [[1, 0, 0], [0, -1, 0], [0, 0, 1]],
  rub: [[1, 0, 0], [0, 1, 0], [0, 0, -1]],
  luf: [[-1, 0, 0], [0, 1, 0], [0, 0, 1]],
  z_up: [[1, 0, 0], [0, 0, 1], [0, 1, 0]],
};
/** Of the shorter side of the picture, radians. */
const FIELD = (50 * Math.PI) / 180;
/** How much farther away than the stage says one begins: buttons lie over the edges. */
const ROOM = 1.6;
const WIDEST = (100 * Math.PI) / 180;
const STEEPEST = Math.PI / 2 - 0.01;

export const add = (/** @type {number[]} */ a, /** @type {number[]} */ b, s = 1) => a.map((x, k) => x + s * b[k]);
export const dot = (/** @type {number[]} */ a, /** @type {number[]} */ b) => a.reduce((sum, x, k) => sum + x * b[k], 0);
const cross = (/** @type {number[]} */ a, /** @type {number[]} */ b) =>
  [0, 1, 2].map((k) => a[(k + 1) % 3] * b[(k + 2) % 3] - a[(k + 2) % 3] * b[(k + 1) % 3]);

/**
 * @typedef {object} Camera
 * @property {number[][]} viewmat world to camera (x right, y down, z forward), 4 by 4
 * @property {number[]} pos
 * @property {number[]} right in the scene
 * @property {number[]} up
 * @property {number[]} forward
 * @property {number[]} quat w, x, y, z: camera axes to the scene's
 * @property {number} fov_y radians
 * @property {number} focal pixels
 * @property {number} width pixels
 * @property {number} height
 */

/** What is looked at, and from where; angles in radians: yaw from front to right, pitch upwards. */
export class Pose {
  /** @param {string} frame @param {import("../load/stage.js").Stage} stage */
  constructor(frame, stage) {
    this.frame = /** @type {keyof typeof AXES} */ (frame in AXES ? frame : "rdf");
    this.home(stage);
  }

  get axes() {
    return AXES[this.frame];
  }

  /** Take another direction for up: files do not always say the right one. */
  nextUp() {
    const ways = /** @type {(keyof typeof AXES)[]} */ (["rdf", "rub", "z_up"]);
    this.frame = ways[(ways.indexOf(this.frame) + 1) % ways.length];
  }

  /** Look at the scene from in front of it, from a little above. @param {import("../load/stage.js").Stage} stage */
  home({ centre, distance }) {
    this.target = [...centre];
    this.distance = ROOM * distance;
    this.size = distance;
    this.yaw = 0;
    this.pitch = (-15 * Math.PI) / 180;
  }

  /** The direction of the view. */
  get forward() {
    const [right, up, front] = this.axes;
    const flat = Math.cos(this.pitch);
    const level = add(right.map((x) => x * Math.sin(this.yaw)), front, Math.cos(this.yaw));
    return add(level.map((x) => x * flat), up, Math.sin(this.pitch));
  }

  /** To the right of the view, level. */
  get right() {
    const [right, , front] = this.axes;
    return add(right.map((x) => x * Math.cos(this.yaw)), front, -Math.sin(this.yaw));
  }

  get pos() {
    return add(this.target, this.forward, -this.distance);
  }

  /** Turn about the target. @param {number} yaw @param {number} pitch */
  orbit(yaw, pitch) {
    this.yaw += yaw;
    this.pitch = Math.min(Math.max(this.pitch + pitch, -STEEPEST), STEEPEST);
  }

  /** Turn about the camera's own place. @param {number} yaw @param {number} pitch */
  look(yaw, pitch) {
    const { pos } = this;
    this.orbit(yaw, pitch);
    this.target = add(pos, this.forward, this.distance);
  }

  /** Come closer or go away. @param {number} factor */
  zoom(factor) {
    this.distance = Math.min(Math.max(this.distance * factor, 1e-4 * this.size), 100 * this.size);
  }

  /**
   * Move camera and target: right, up in the picture, forward; scene units.
   *
   * @param {number} right
   * @param {number} up
   * @param {number} forward
   */
  move(right, up, forward) {
    const ahead = this.forward;
    const above = this.above(ahead);
    this.target = add(add(add(this.target, this.right, right), above, up), ahead, forward);
  }

  /** Up in the picture. @param {number[]} forward */
  above(forward) {
    return cross(this.right, forward);
  }

  /** The camera of a picture of so many pixels. @param {number} width @param {number} height @returns {Camera} */
  camera(width, height) {
    const { forward, right, pos } = this;
    const up = this.above(forward);
    const rows = [right, up.map((x) => -x), forward];
    const viewmat = [...rows.map((row) => [...row, -dot(row, pos)]), [0, 0, 0, 1]];
    const focal = Math.max(Math.min(width, height) / (2 * Math.tan(FIELD / 2)), height / (2 * Math.tan(WIDEST / 2)));
    const fov_y = 2 * Math.atan(height / (2 * focal));
    return { viewmat, pos, right, up, forward, quat: quaternion(rows), fov_y, focal, width, height };
  }

  /** As text for an address. */
  toText() {
    return [...this.target, this.distance, this.yaw, this.pitch].map((x) => Number(x.toPrecision(6))).join(",");
  }

  /** Take what `toText` wrote; whatever is not six numbers is ignored. @param {string} text */
  fromText(text) {
    const found = text.split(",").map(Number);
    if (found.length !== 6 || !found.every(Number.isFinite) || found[3] <= 0) return false;
    this.target = found.slice(0, 3);
    [this.distance, this.yaw, this.pitch] = found.slice(3);
    return true;
  }
}

/**
 * The quaternion w, x, y, z of the rotation whose transpose has these rows (Shepperd's method).
 *
 * @param {number[][]} rows
 */
export function quaternion(rows) {
  const r = (/** @type {number} */ i, /** @type {number} */ k) => rows[k][i];
  const trace = r(0, 0) + r(1, 1) + r(2, 2);
  const squares = [trace, r(0, 0), r(1, 1), r(2, 2)];
  const most = squares.indexOf(Math.max(...squares));
  const q = [0, 0, 0, 0];
  if (most === 0) {
    q.splice(0, 4, 1 + trace, r(2, 1) - r(1, 2), r(0, 2) - r(2, 0), r(1, 0) - r(0, 1));
  } else {
    const [i, j, m] = [most - 1, most % 3, (most + 1) % 3];
    q[0] = r(m, j) - r(j, m);
    q[1 + i] = 1 + r(i, i) - r(j, j) - r(m, m);
    q[1 + j] = r(j, i) + r(i, j);
    q[1 + m] = r(m, i) + r(i, m);
  }
  const norm = Math.hypot(...q);
  return q.map((x) => x / norm);
}
