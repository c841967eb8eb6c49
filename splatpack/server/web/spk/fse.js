/** Finite state entropy tables (RFC 8878, section 4.1). */

import { Bits } from "./bits.js";
import { check } from "./errors.js";

/**
 * What each state stands for, and where it leads.
 *
 * @typedef {{log: number, symbol: number[], bits: number[], base: number[]}} Fse
 */

/** @param {number} symbol @returns {Fse} */
export function constantTable(symbol) {
  return { log: 0, symbol: [symbol], bits: [0], base: [0] };
}

/**
 * A table from normalised counts.
 *
 * @param {number[]} counts
 * @param {number} log
 * @returns {Fse}
 */
export function fseTable(counts, log) {
  const size = 2 ** log;
  const symbols = new Array(size).fill(0);
  let high = size;
  counts.forEach((count, symbol) => {
    if (count === -1) symbols[--high] = symbol;
  });
  const step = (size >> 1) + (size >> 3) + 3;
  let position = 0;
  counts.forEach((count, symbol) => {
    for (let i = 0; i < count; i++) {
      symbols[position] = symbol;
      do position = (position + step) & (size - 1);
      while (position >= high);
    }
  });
  const next = counts.map(Math.abs);
  /** @type {number[]} */
  const bits = [];
  const base = symbols.map((symbol) => {
    const state = next[symbol]++;
    bits.push(log - (31 - Math.clz32(state)));
    return (state << bits[bits.length - 1]) - size;
  });
  return { log, symbol: symbols, bits, base };
}

/**
 * Read the description of a table.
 *
 * @param {import("./bytes.js").Cursor} cursor stands behind it afterwards
 * @param {number} largest accuracy
 * @param {number} symbols
 */
export function fseDescription(cursor, largest, symbols) {
  const what = "zstd: FSE table";
  const bits = new Bits(cursor.data.subarray(cursor.at, cursor.at + 1024), what);
  const log = bits.read(4) + 5;
  check(log <= largest, `${what}: accuracy too large`);
  let left = 2 ** log;
  const counts = [];
  while (left > 0) {
    check(counts.length < symbols, `${what}: too many symbols`);
    const width = 32 - Math.clz32(left + 1);
    const spare = 2 ** width - 2 - left;
    let value = bits.read(width - 1);
    if (value >= spare) {
      value += bits.read(1) * 2 ** (width - 1);
      if (value >= 2 ** (width - 1)) value -= spare;
    }
    counts.push(value - 1);
    left -= Math.abs(value - 1);
    for (let zeros = value === 1 ? 3 : 0; zeros === 3; ) {
      zeros = bits.read(2);
      for (let i = 0; i < zeros; i++) counts.push(0);
      check(counts.length <= symbols, `${what}: too many symbols`);
    }
  }
  check(left === 0, `${what}: the wrong sum`);
  cursor.skip((bits.at + 7) >> 3);
  return fseTable(counts, log);
}
