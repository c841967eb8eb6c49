/** Strict msgpack: a reader that tells floats from integers and refuses what is not allowed, and a small writer. */

import { Cursor } from "./bytes.js";
import { check } from "./errors.js";

const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** A number that was written as a float. */
export class Float {
  /** @param {number} value */
  constructor(value) {
    this.value = value;
  }
}

/**
 * @typedef {object} Rules what is allowed
 * @property {string} what the name of the thing that is read
 * @property {number} deepest arrays and maps that a value may lie in
 * @property {number} [array] members of an array, at most
 * @property {number} [map] keys of a map, at most
 * @property {boolean} [binary] whether binary values are allowed
 * @property {boolean} [single] whether 32-bit floats are allowed
 */

/**
 * Read one map with string keys, none of them twice, and nothing behind it.
 *
 * @param {Uint8Array} data
 * @param {Rules} rules
 * @returns {Map<string, any>} maps are `Map`, floats `Float`, integers numbers (those beyond 2^53 inexact)
 */
export function unpack(data, rules) {
  const cursor = new Cursor(data, rules.what);
  const value = read(cursor, rules, 0);
  cursor.end();
  check(value instanceof Map, `${rules.what}: not a map`);
  return value;
}

/** @param {Cursor} cursor @param {Rules} rules @param {number} depth @returns {any} */
function read(cursor, rules, depth) {
  check(depth <= rules.deepest, `${rules.what}: nested too deep`);
  const tag = cursor.u8();
  if (tag < 0x80) return tag;
  if (tag >= 0xe0) return tag - 256;
  if (tag < 0x90) return readMap(cursor, rules, tag & 15, depth);
  if (tag < 0xa0) return readArray(cursor, rules, tag & 15, depth);
  if (tag < 0xc0) return text(cursor, rules, tag & 31);
  if (tag >= 0xc4 && tag <= 0xc6 && rules.binary) return cursor.take(big(cursor, 1 << (tag - 0xc4))).slice();
  if (tag >= 0xd9 && tag <= 0xdb) return text(cursor, rules, big(cursor, 1 << (tag - 0xd9)));
  if (tag === 0xdc || tag === 0xdd) return readArray(cursor, rules, big(cursor, 2 << (tag - 0xdc)), depth);
  if (tag === 0xde || tag === 0xdf) return readMap(cursor, rules, big(cursor, 2 << (tag - 0xde)), depth);
  return scalar(cursor, rules, tag);
}

/** @param {Cursor} cursor @param {Rules} rules @param {number} tag */
function scalar(cursor, rules, tag) {
  if (tag === 0xc0) return null;
  if (tag === 0xc2 || tag === 0xc3) return tag === 0xc3;
  if (tag >= 0xcc && tag <= 0xcf) return big(cursor, 1 << (tag - 0xcc));
  if (tag >= 0xd0 && tag <= 0xd3) {
    const size = 1 << (tag - 0xd0);
    const value = big(cursor, size);
    return value >= 2 ** (8 * size - 1) ? value - 2 ** (8 * size) : value;
  }
  const allowed = tag === 0xcb || (tag === 0xca && rules.single);
  check(allowed, `${rules.what}: msgpack type 0x${tag.toString(16)} is not allowed`);
  const value = tag === 0xcb ? cursor.view.getFloat64(cursor.skip(8)) : cursor.view.getFloat32(cursor.skip(4));
  check(Number.isFinite(value), `${rules.what}: a number that is not finite`);
  return new Float(value);
}

/** A big-endian unsigned integer of 1, 2, 4 or 8 bytes. @param {Cursor} cursor @param {number} size */
function big(cursor, size) {
  let value = 0;
  for (const byte of cursor.take(size)) value = 256 * value + byte;
  return value;
}

/** @param {Cursor} cursor @param {Rules} rules @param {number} size */
function text(cursor, rules, size) {
  const bytes = cursor.take(size);
  try {
    return UTF8.decode(bytes);
  } catch {
    return check(false, `${rules.what}: a string is not UTF-8`);
  }
}

/** @param {Cursor} cursor @param {Rules} rules @param {number} count @param {number} depth */
function readArray(cursor, rules, count, depth) {
  check(count <= cursor.left, `${rules.what}: ends early`);
  check(count <= (rules.array ?? Infinity), `${rules.what}: an array of ${count} members`);
  return Array.from({ length: count }, () => read(cursor, rules, depth + 1));
}

/** @param {Cursor} cursor @param {Rules} rules @param {number} count @param {number} depth */
function readMap(cursor, rules, count, depth) {
  check(2 * count <= cursor.left, `${rules.what}: ends early`);
  check(count <= (rules.map ?? Infinity), `${rules.what}: a map of ${count} keys`);
  const found = new Map();
  for (let i = 0; i < count; i++) {
    const key = read(cursor, rules, depth + 1);
    check(typeof key === "string", `${rules.what}: a key is not a string`);
    check(!found.has(key), `${rules.what}: two keys ${key}`);
    found.set(key, read(cursor, rules, depth + 1));
  }
  return found;
}

/**
 * Write a value: maps are plain objects whose undefined values are left out, whole numbers integers.
 *
 * @param {any} value null, boolean, number, string, Uint8Array, array or object
 * @returns {number[]}
 */
export function pack(value) {
  if (value === null) return [0xc0];
  if (typeof value === "boolean") return [value ? 0xc3 : 0xc2];
  if (typeof value === "number") return number(value);
  if (typeof value === "string") {
    const bytes = new TextEncoder().encode(value);
    return [...head(bytes.length, 0xa0, 31, 0xd9), ...bytes];
  }
  if (value instanceof Uint8Array) return [...head(value.length, 0, -1, 0xc4), ...value];
  if (Array.isArray(value)) return [...head(value.length, 0x90, 15, 0xdb), ...value.flatMap(pack)];
  const entries = Object.entries(value).filter(([, member]) => member !== undefined);
  const members = entries.flatMap(([key, member]) => [...pack(key), ...pack(member)]);
  return [...head(entries.length, 0x80, 15, 0xdd), ...members];
}

/** The tag and the length of a thing: one byte up to `small`, else `tag`, `tag + 1`, `tag + 2` with 1, 2, 4 bytes. */
function head(
  /** @type {number} */ size,
  /** @type {number} */ fix,
  /** @type {number} */ small,
  /** @type {number} */ tag,
) {
  if (size <= small) return [fix | size];
  const bare = tag === 0xdb || tag === 0xdd; // arrays and maps have no length of one byte
  const width = size < 256 && !bare ? 1 : size < 65536 ? 2 : 4;
  return [tag + Math.log2(width), ...bytesOf(size, width)];
}

/** @param {number} value @param {number} width */
function bytesOf(value, width) {
  return Array.from({ length: width }, (_, i) => Math.floor(value / 256 ** (width - 1 - i)) % 256);
}

/** @param {number} value */
function number(value) {
  if (Number.isSafeInteger(value) && value >= 0) {
    if (value < 128) return [value];
    const width = value < 256 ? 1 : value < 65536 ? 2 : value < 2 ** 32 ? 4 : 8;
    return [0xcc + Math.log2(width), ...bytesOf(value, width)];
  }
  const out = new DataView(new ArrayBuffer(8));
  out.setFloat64(0, value);
  return [0xcb, ...new Uint8Array(out.buffer)];
}
