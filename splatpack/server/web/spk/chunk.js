/** One chunk: bytes to Gaussians (format.md, section 6). */

import { Budget, Cursor, same } from "./bytes.js";
import { decodeColumn } from "./columns.js";
import { crc32 } from "./crc32.js";
import { check } from "./errors.js";
import { ATTRIBUTES } from "./profiles.js";
import { hash16 } from "./sha256.js";
import { decodeSh } from "./sh.js";
import { decodeGeometry } from "./splat.js";

const LARGEST_F32 = 3.4028234663852886e38;

/** @typedef {import("./pages.js").Chunk} Chunk */
/** @typedef {import("./scene.js").Scene} Scene */

/**
 * Gaussians as typed arrays, row by row; log-scales, logits, quaternions w, x, y, z.
 *
 * @typedef {object} Gaussians
 * @property {number} n
 * @property {Float32Array} means
 * @property {Float32Array} scales
 * @property {Float32Array} quats
 * @property {Float32Array} opacities
 * @property {Float32Array} sh0
 * @property {Float32Array} shN (n, K, 3), K of the chunk's own degree
 * @property {number} degree of `shN`
 * @property {Map<string, any>} extras typed arrays by name
 */

/**
 * Hold the bytes of a chunk to what the directory says of them.
 *
 * @param {Uint8Array} data
 * @param {Chunk} chunk
 */
export function checkChunk(data, chunk) {
  const what = `chunk at ${chunk.offset}`;
  check(data.length === chunk.length, `${what}: ${data.length} bytes, expected ${chunk.length}`);
  check(same(hash16(data), chunk.hash), `${what}: wrong hash`);
  let at = 0;
  for (const { kind, length, crc } of chunk.sections) {
    check(crc32(data.subarray(at, at + length)) === crc, `${what}: wrong crc32 of section ${kind}`);
    at += length;
  }
}

/**
 * Decode a chunk whose bytes were checked. Safe on hostile input: nothing is made that is not bounded by the chunk's
 * count of Gaussians or charged to the budget.
 *
 * @param {Uint8Array} data
 * @param {Chunk} chunk
 * @param {Scene} scene
 * @param {{extras?: boolean, budget?: Budget}} [options] extras: decode extra columns too
 * @returns {Gaussians}
 */
export function decodeChunk(data, chunk, scene, options = {}) {
  const profile = scene.profiles[chunk.profile];
  const models = scene.models[chunk.profile];
  const budget = options.budget ?? new Budget(data.length);
  const n = chunk.count;
  const cursor = new Cursor(data, `chunk at ${chunk.offset}`);
  const sections = chunk.sections.map((section) => cursor.take(section.length));
  /** @type {Record<string, Float32Array>} */
  let found = {};
  if (profile.splat && models.geometry) {
    const geometry = decodeGeometry(sections[0], n, profile.splat, models.geometry);
    found = geometry.found;
    const steps = profile.splat.tables.sh;
    if (models.sh) found.shN = decodeSh(sections[1], profile.degree, steps, geometry.classes, models.sh);
  }
  const extras = new Map();
  if (profile.columns.length) {
    const columns = new Cursor(sections[sections.length - 1], `chunk at ${chunk.offset}, columns`);
    for (const column of profile.columns) {
      const bytes = columns.take(columns.u32());
      if (column.attribute) found[column.name] = /** @type {any} */ (decodeColumn(bytes, n, column, budget));
      else if (options.extras) extras.set(column.name, decodeColumn(bytes, n, column, budget));
    }
    columns.end();
  }
  found.shN ??= new Float32Array(0);
  for (const name of ATTRIBUTES) check(allFinite(found[name]), `${name}: a value that is not finite`);
  const { means, scales, quats, opacities, sh0, shN } = found;
  const gaussians = { n, means, scales, quats, opacities, sh0, shN, degree: profile.degree, extras };
  checkBounds(gaussians, chunk, profile.splat?.attributes.includes("means") ? profile.splat.lattice[3] : 0);
  return gaussians;
}

/** Whether no value is infinite or no number. @param {Float32Array} values */
function allFinite(values) {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i] * 0; // 0 for what is finite, else NaN
  return sum === 0;
}

/** Box and reach hold the Gaussians, up to the tolerance of a decoder (format.md, section 5.1). */
function checkBounds(/** @type {Gaussians} */ g, /** @type {Chunk} */ chunk, /** @type {number} */ cell) {
  for (let k = 0; k < 3; k++) {
    const slack = 1e-6 * Math.max(Math.abs(chunk.low[k]), Math.abs(chunk.high[k])) + 1e-6 * cell;
    const low = chunk.low[k] - slack;
    const high = chunk.high[k] + slack;
    let inside = true;
    for (let i = k; i < g.means.length; i += 3) inside &&= g.means[i] >= low && g.means[i] <= high;
    check(inside, `chunk at ${chunk.offset}: a centre out of its box`);
  }
  let largest = -Infinity;
  for (let i = 0; i < g.scales.length; i++) if (g.scales[i] > largest) largest = g.scales[i];
  const reach = Math.min(3 * Math.exp(Math.min(largest, 100)), LARGEST_F32);
  check(chunk.reach >= reach * (1 - 1e-4), `chunk at ${chunk.offset}: a Gaussian reaches farther than it says`);
}
