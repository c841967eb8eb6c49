/** Zstandard's Huffman codes (RFC 8878, section 4.2). */

import { Backward } from "./backward.js";
import { Cursor } from "./bytes.js";
import { check } from "./errors.js";
import { fseDescription } from "./fse.js";

/**
 * Symbol and length of the code at the start of each string of `log` bits.
 *
 * @typedef {{log: number, symbol: Uint8Array, bits: Uint8Array}} Huffman
 */

/** The weights of a tree description. @param {Cursor} cursor stands behind it afterwards */
export function huffmanWeights(cursor) {
  const head = cursor.u8();
  if (head >= 128) {
    const nibbles = [...cursor.take((head - 126) >> 1)].flatMap((byte) => [byte >> 4, byte & 15]);
    return nibbles.slice(0, head - 127);
  }
  const description = new Cursor(cursor.take(head), "zstd: Huffman tree");
  const table = fseDescription(description, 6, 256);
  const stream = new Backward(description.rest());
  let states = [stream.read(table.log), stream.read(table.log)];
  const weights = [];
  for (;;) {
    check(weights.length < 254, "zstd: too many Huffman weights");
    const [state, other] = states;
    weights.push(table.symbol[state]);
    if (table.bits[state] > stream.left) {
      weights.push(table.symbol[other]);
      return weights;
    }
    states = [other, table.base[state] + stream.read(table.bits[state])];
  }
}

/**
 * A decoding table; the weight of the last symbol follows from the others.
 *
 * @param {number[]} given
 * @returns {Huffman}
 */
export function huffmanTable(given) {
  const total = given.reduce((sum, weight) => sum + (weight ? 2 ** (weight - 1) : 0), 0);
  check(total > 0 && total < 2 ** 11, "zstd: Huffman codes too long, or none");
  const log = 32 - Math.clz32(total);
  const rest = 2 ** log - total;
  check((rest & (rest - 1)) === 0, "zstd: Huffman weights do not add up");
  const weights = [...given, 32 - Math.clz32(rest)];
  const symbol = new Uint8Array(2 ** log);
  const bits = new Uint8Array(2 ** log);
  let at = 0;
  for (let weight = 1; weight <= log; weight++) {
    weights.forEach((w, s) => {
      if (w !== weight) return;
      symbol.fill(s, at, at + 2 ** (weight - 1));
      bits.fill(log + 1 - weight, at, at + 2 ** (weight - 1));
      at += 2 ** (weight - 1);
    });
  }
  return { log, symbol, bits };
}

/**
 * Decode exactly as many literals as there is room for.
 *
 * @param {Uint8Array} data
 * @param {Uint8Array} out
 * @param {Huffman} table
 */
export function huffmanStream(data, out, table) {
  let { left } = new Backward(data);
  const { log, symbol, bits } = table;
  for (let i = 0; i < out.length; i++) {
    check(left > 0, "zstd: a literal stream ends early");
    const low = left - log; // the string reaches below the first bit near the end: those bits are zero
    const byte = Math.max(low, 0) >> 3;
    const window = data[byte] | (data[byte + 1] << 8) | (data[byte + 2] << 16);
    const ahead = (low >= 0 ? window >>> (low & 7) : window << -low) & ((1 << log) - 1);
    out[i] = symbol[ahead];
    left -= bits[ahead];
  }
  check(left === 0, "zstd: a literal stream does not end where it should");
}
