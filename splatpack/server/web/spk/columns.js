/** Single columns: transforms, serializers, compressor (columns.md). */

import { Cursor } from "./bytes.js";
import { check } from "./errors.js";
import { decodeFloats } from "./floats.js";
import { parseModel } from "./model.js";
import { DTYPES } from "./profiles.js";
import { TokenStream } from "./tokens.js";
import { decodeZstd } from "./zstd.js";

/** @typedef {import("./bytes.js").Budget} Budget */
/** @typedef {import("./profiles.js").Column} Column */

const VIEWS = {
  "<f4": Float32Array, "|i1": Int8Array, "|u1": Uint8Array, "<i2": Int16Array, "<u2": Uint16Array, "<i4": Int32Array,
  "<u4": Uint32Array, "<i8": BigInt64Array, "<u8": BigUint64Array,
};
const UNSIGNED = { 1: Uint8Array, 2: Uint16Array, 4: Uint32Array, 8: BigUint64Array };

/**
 * A column of n rows, as a typed array of its dtype.
 *
 * @param {Uint8Array} data
 * @param {number} n
 * @param {Column} column
 * @param {Budget} budget
 */
export function decodeColumn(data, n, column, budget) {
  const what = `column ${column.name}`;
  const ids = column.pipeline.map((codec) => codec.id);
  const content = ids.includes("zstd") ? decodeZstd(data, budget) : data;
  const cursor = new Cursor(content, what);
  if (ids[0] === "floats") return decodeFloats(cursor, n, column.components, budget);
  const size = DTYPES[column.dtype];
  const planes = readPlanes(cursor, size * column.components, n, ids.includes("planes"));
  cursor.end();
  const values = joinPlanes(planes, n, column.components, size);
  if (ids.includes("delta")) undoDelta(values, column.components);
  const [first] = column.pipeline;
  if (first.id === "quantised") return dequantise(/** @type {Uint32Array} */ (values), Number(first.step), what);
  unorder(values, column.dtype);
  return new VIEWS[column.dtype](values.buffer);
}

/** The planes of bytes, one after the other. */
function readPlanes(
  /** @type {Cursor} */ cursor,
  /** @type {number} */ count,
  /** @type {number} */ n,
  /** @type {boolean} */ coded,
) {
  check(count <= 2048, `${cursor.what}: ${count} planes, expected at most 2048`);
  check(cursor.u16() === count, `${cursor.what}: wrong number of planes`);
  check(cursor.u32() === n, `${cursor.what}: wrong number of rows`);
  const modelSize = cursor.u32();
  if (!coded) {
    check(modelSize === 0, `${cursor.what}: reserved bytes are not zero`);
    return cursor.take(count * n);
  }
  const modes = cursor.take(count);
  check(modes.every((mode) => mode <= 1), `${cursor.what}: unknown mode`);
  const modelData = cursor.take(modelSize);
  const used = modes.reduce((sum, mode) => sum + mode, 0);
  const raw = cursor.take(n * (count - used));
  check(used > 0 || modelSize === 0, `${cursor.what}: a model without planes`);
  const planes = new Uint8Array(count * n);
  const stream = used ? new TokenStream(cursor.rest(), parseModel(modelData, used)) : null;
  let context = 0;
  let at = 0;
  modes.forEach((mode, plane) => {
    const out = planes.subarray(plane * n, (plane + 1) * n);
    if (mode && stream) {
      stream.fill(n, context++);
      stream.tokens(n, out);
    } else {
      out.set(raw.subarray(at, at + n));
      at += n;
    }
  });
  if (stream) {
    check(stream.raw.length === 0, `${cursor.what}: raw bits`);
    stream.end();
  }
  return planes;
}

/** Unsigned integers of planes that go component by component, the most significant byte first. */
function joinPlanes(
  /** @type {Uint8Array} */ planes,
  /** @type {number} */ n,
  /** @type {number} */ components,
  /** @type {number} */ size,
) {
  const bytes = new Uint8Array(n * components * size);
  for (let c = 0, at = 0; c < components; c++) {
    for (let k = size - 1; k >= 0; k--) {
      for (let i = 0; i < n; i++) bytes[(i * components + c) * size + k] = planes[at++];
    }
  }
  return new UNSIGNED[/** @type {1 | 2 | 4 | 8} */ (size)](bytes.buffer);
}

/**
 * Sum up zigzag steps within each component, modulo the size of the numbers.
 *
 * @param {any} u
 * @param {number} components
 */
function undoDelta(u, components) {
  if (u instanceof BigUint64Array) {
    for (let i = components; i < u.length; i++) {
      const z = u[i];
      u[i] = u[i - components] + ((z >> 1n) ^ -(z & 1n)); // the array keeps 64 bits
    }
    return;
  }
  for (let i = components; i < u.length; i++) {
    const z = u[i];
    u[i] = u[i - components] + ((z >>> 1) ^ -(z & 1));
  }
}

/** @param {Uint32Array} symbols @param {number} step @param {string} what */
function dequantise(symbols, step, what) {
  const out = new Float32Array(symbols.length);
  for (let i = 0; i < out.length; i++) {
    const z = symbols[i];
    out[i] = (z % 2 ? -(z + 1) / 2 : z / 2) * step;
  }
  check(out.every(Number.isFinite), `${what}: a value that is not finite`);
  return out;
}

/**
 * Unsigned integers in the order of the numbers back to the numbers' bits, in place.
 *
 * @param {any} u
 * @param {string} dtype
 */
function unorder(u, dtype) {
  if (dtype[1] === "u") return;
  if (dtype === "<f4") {
    for (let i = 0; i < u.length; i++) u[i] = u[i] >>> 31 ? u[i] ^ 0x80000000 : ~u[i];
  } else if (dtype === "<i8") {
    for (let i = 0; i < u.length; i++) u[i] ^= 1n << 63n;
  } else {
    const sign = 2 ** (8 * u.BYTES_PER_ELEMENT - 1);
    for (let i = 0; i < u.length; i++) u[i] ^= sign;
  }
}
