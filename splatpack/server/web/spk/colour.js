/** Base colour (splat.md, section 4.6). */

import { check } from "./errors.js";

const COLOUR_SYMBOL = 32767;
const R3 = 1 / Math.sqrt(3);
const R2 = 1 / Math.sqrt(2);
const R6 = 1 / Math.sqrt(6);

/** Red, green and blue of luma and two chromas. */
export function toRgb(
  /** @type {number} */ luma,
  /** @type {number} */ first,
  /** @type {number} */ second,
  /** @type {Float32Array} */ out,
  /** @type {number} */ at,
) {
  const y = luma * R3;
  const u = first * R2;
  const v = second * R6;
  out[at] = y + u + v;
  out[at + 1] = y - 2 * v;
  out[at + 2] = y - u + v;
}

/**
 * One channel, by binary refinement: the symbols of values whose zigzag residuals are given.
 *
 * @param {Int32Array} low bits 0 to 29 of the residuals
 * @param {Int32Array} high the bits above
 * @param {Int32Array} classes
 * @param {number[]} colour steps by class, in Q20
 */
export function restoreChannel(low, high, classes, colour) {
  const n = low.length;
  const value = new Float64Array(n); // exact: symbols of 16 bits times steps of 31
  const symbols = new Int32Array(n);
  const set = (/** @type {number} */ i, /** @type {number} */ guess) => {
    const z = high[i] * 2 ** 30 + low[i];
    const q = guess + (z % 2 ? -(z + 1) / 2 : z / 2);
    check(q >= -COLOUR_SYMBOL && q <= COLOUR_SYMBOL, "sh0: a symbol out of range");
    symbols[i] = q;
    value[i] = q * colour[classes[i]];
  };
  set(0, 0);
  let s = 1;
  while (s < n) s *= 2;
  for (; s >= 1; s /= 2) {
    for (let i = s; i < n; i += 2 * s) {
      const a = value[i - s];
      const b = i + s < n ? value[i + s] : a;
      const step = colour[classes[i]];
      set(i, floorDivide(a + b + step, 2 * step));
    }
  }
  return symbols;
}

/** Division rounded down, exact for a dividend below 2^52: a quotient of floats may be rounded to the next integer. */
function floorDivide(/** @type {number} */ x, /** @type {number} */ d) {
  const q = Math.floor(x / d);
  const rest = x - q * d;
  return rest < 0 ? q - 1 : rest >= d ? q + 1 : q;
}
