/** The section of spherical harmonics (splat.md, section 5). */

import { toRgb } from "./colour.js";
import { check } from "./errors.js";
import { COEFFICIENTS } from "./profiles.js";
import { TokenStream, unzigzag } from "./tokens.js";

const Q20 = 2 ** 20;
const SYMBOL = 32767;

/**
 * The coefficients of bands 1 to the degree, (n, K, 3).
 *
 * @param {Uint8Array} data
 * @param {number} degree
 * @param {number[]} steps by class, in Q20
 * @param {Int32Array} classes
 * @param {import("./model.js").Model} model
 */
export function decodeSh(data, degree, steps, classes, model) {
  const n = classes.length;
  const count = COEFFICIENTS[degree];
  const stream = new TokenStream(data, model);
  const base = stream.room(n);
  for (let i = 0; i < n; i++) base[i] = model.tableOf[classes[i]];
  const mask = stream.values(n, 2 ** degree - 1);
  const symbols = new Int16Array(n * count * 3);
  const rows = new Int32Array(n);
  for (let band = 1; band <= degree; band++) {
    let size = 0;
    for (let i = 0; i < n; i++) if ((mask[i] >> (band - 1)) & 1) rows[size++] = i;
    decodeBand(stream, band, count, rows.subarray(0, size), classes, symbols);
  }
  stream.end();
  return colours(symbols, count, steps, classes);
}

/** Luma and chromas to red, green and blue; symbols that are zero, as most are, cost nothing. */
function colours(
  /** @type {Int16Array} */ symbols,
  /** @type {number} */ count,
  /** @type {number[]} */ steps,
  /** @type {Int32Array} */ classes,
) {
  const out = new Float32Array(symbols.length);
  for (let i = 0, at = 0; i < classes.length; i++) {
    const step = steps[classes[i]] / Q20;
    for (let k = 0; k < count; k++, at += 3) {
      const luma = symbols[at];
      const first = symbols[at + 1];
      const second = symbols[at + 2];
      if (luma | first | second) toRgb(luma * step, first * step, second * step, out, at);
    }
  }
  return out;
}

/** Decode the planes of one band over the Gaussians that have it. */
function decodeBand(
  /** @type {TokenStream} */ stream,
  /** @type {number} */ band,
  /** @type {number} */ count,
  /** @type {Int32Array} */ rows,
  /** @type {Int32Array} */ classes,
  /** @type {Int16Array} */ symbols,
) {
  const { tableOf } = stream.model;
  const run = new Uint8Array(rows.length); // held to 5, which is all that contexts look at
  const base = stream.room(rows.length);
  for (let channel = 0; channel < 3; channel++) {
    const first = 8 + 96 * (band - 1) + (channel ? 48 : 0);
    for (let k = COEFFICIENTS[band - 1]; k < COEFFICIENTS[band]; k++) {
      for (let j = 0; j < rows.length; j++) base[j] = tableOf[first + 6 * classes[rows[j]] + run[j]];
      const values = stream.values(rows.length, 2 ** 17 - 1);
      for (let j = 0; j < rows.length; j++) {
        const symbol = unzigzag(values[j]);
        check(symbol >= -SYMBOL && symbol <= SYMBOL, "shN: a symbol out of range");
        symbols[3 * (rows[j] * count + k) + channel] = symbol;
        run[j] = Math.min(5, run[j] + Math.min(values[j], 2));
      }
    }
  }
}
