/** Gaussians as the graphics card takes them: 32 bytes each, and up to 64 for spherical harmonics. */

import { COEFFICIENTS } from "../spk/profiles.js";

/** Gaussians in a row of a texture. */
export const ROW = 1024;
/** Texels (16 bytes) of the spherical harmonics of one Gaussian, by degree. */
export const SH_TEXELS = [0, 1, 3, 4];

const FLOAT = new Float32Array(1);
const BITS = new Uint32Array(FLOAT.buffer);

/**
 * A float as the 16 bits of a half float, rounded to nearest; what is too large becomes the largest.
 *
 * @param {number} x
 */
export function half(x) {
  FLOAT[0] = Math.min(Math.max(x, -65504), 65504);
  const bits = BITS[0];
  const sign = (bits >>> 16) & 0x8000;
  const e = ((bits >>> 23) & 255) - 112;
  if (e <= 0) return sign | Math.round(Math.abs(FLOAT[0]) * 2 ** 24);
  return sign | ((e << 10) + ((bits >>> 13) & 1023) + ((bits >>> 12) & 1)); // a carry moves on into the exponent
}

/** Two half floats in one word. @param {number} low @param {number} high */
function halves(low, high) {
  return (half(low) | (half(high) << 16)) >>> 0;
}

/** Two numbers of -1 to 1 in one word. @param {number} low @param {number} high */
function norms(low, high) {
  return ((Math.round(low * 32767) & 0xffff) | (Math.round(high * 32767) << 16)) >>> 0;
}

/**
 * Centres, shapes, opacities and base colours, in whole rows: 8 words a Gaussian.
 *
 * centre x, y, z (float32) | log-scales 0, 1 (half) || log-scale 2, logit (half) | x, y of the rotation (16 bits) |
 * z, red of sh0 | green, blue (half). The rotation is turned to w >= 0, so that w follows.
 *
 * @param {import("../spk/chunk.js").Gaussians} g
 */
export function packGeometry(g) {
  const rows = Math.ceil(g.n / ROW);
  const out = new Uint32Array(rows * ROW * 8);
  const floats = new Float32Array(out.buffer);
  for (let i = 0; i < g.n; i++) {
    const at = 8 * i;
    floats.set(g.means.subarray(3 * i, 3 * i + 3), at);
    const [w, x, y, z] = unit(g.quats, 4 * i);
    out[at + 3] = halves(g.scales[3 * i], g.scales[3 * i + 1]);
    out[at + 4] = halves(g.scales[3 * i + 2], g.opacities[i]);
    const sign = w < 0 ? -1 : 1;
    out[at + 5] = norms(sign * x, sign * y);
    out[at + 6] = ((Math.round(sign * z * 32767) & 0xffff) | (half(g.sh0[3 * i]) << 16)) >>> 0;
    out[at + 7] = halves(g.sh0[3 * i + 1], g.sh0[3 * i + 2]);
  }
  return out;
}

/** @param {Float32Array} quats @param {number} at */
function unit(quats, at) {
  const q = [quats[at], quats[at + 1], quats[at + 2], quats[at + 3]];
  const norm = Math.hypot(...q);
  return norm > 0 ? q.map((x) => x / norm) : [1, 0, 0, 0];
}

/**
 * Spherical harmonics in the layout of the scene's degree: a word a coefficient (11, 11 and 10 bits for red, green and
 * blue), then the size (float32) that they are fractions of.
 *
 * @param {import("../spk/chunk.js").Gaussians} g
 * @param {number} degree of the scene
 * @returns {Uint32Array} empty where the scene has none
 */
export function packSh(g, degree) {
  const words = 4 * SH_TEXELS[degree];
  const out = new Uint32Array(Math.ceil(g.n / ROW) * ROW * words);
  const floats = new Float32Array(out.buffer);
  const count = COEFFICIENTS[g.degree];
  const { shN } = g;
  for (let i = 0; i < (count ? g.n : 0); i++) {
    const from = 3 * count * i;
    let size = 0;
    for (let k = from; k < from + 3 * count; k++) size = Math.max(size, Math.abs(shN[k]));
    if (size === 0) continue;
    const at = words * i;
    for (let k = 0; k < count; k++) {
      const red = Math.round((shN[from + 3 * k] / size) * 1023) & 2047;
      const green = Math.round((shN[from + 3 * k + 1] / size) * 1023) & 2047;
      const blue = Math.round((shN[from + 3 * k + 2] / size) * 511) & 1023;
      out[at + k] = (red | (green << 11) | (blue << 22)) >>> 0;
    }
    floats[at + words - 1] = size;
  }
  return out;
}
