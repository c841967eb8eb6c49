/** Values of the metadata, each held to its type and range. */

import { check } from "./errors.js";
import { Float } from "./msgpack.js";

/** @param {any} value @param {number} low @param {number} high @param {string} what @returns {number} */
export function integer(value, low, high, what) {
  check(typeof value === "number", `${what}: not an integer`);
  check(low <= value && value <= high, `${what}: ${value} is not in ${low} to ${high}`);
  return value;
}

/**
 * A float between two bounds, both excluded.
 *
 * @param {any} value
 * @param {number} low
 * @param {number} high
 * @param {string} what
 */
export function real(value, low, high, what) {
  check(value instanceof Float, `${what}: not a 64-bit float`);
  check(low < value.value && value.value < high, `${what}: ${value.value} is not between ${low} and ${high}`);
  return /** @type {number} */ (value.value);
}

/** @param {any} value @param {number} low @param {number} high @param {string} what @returns {any[]} */
export function array(value, low, high, what) {
  check(Array.isArray(value), `${what}: not an array`);
  check(low <= value.length && value.length <= high, `${what}: ${value.length} members, not ${low} to ${high}`);
  return value;
}

/**
 * A map with exactly these keys.
 *
 * @param {any} value
 * @param {string[]} keys
 * @param {string} what
 * @returns {Map<string, any>}
 */
export function exactMap(value, keys, what) {
  check(value instanceof Map, `${what}: not a map`);
  const exact = value.size === keys.length && keys.every((key) => value.has(key));
  check(exact, `${what}: keys ${[...value.keys()]} are not ${keys}`);
  return value;
}

/** @param {any} value @param {string} what @returns {boolean} */
export function boolean(value, what) {
  check(typeof value === "boolean", `${what}: not a boolean`);
  return value;
}
