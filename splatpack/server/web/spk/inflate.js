/** Raw DEFLATE (RFC 1951) behind a dictionary, with a bound on what comes out. */

import { Bits } from "./bits.js";
import { SpkError, check } from "./errors.js";

const ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
const LENGTH_BASE = [3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163,
  195, 227, 258];
const LENGTH_BITS = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0];
const DISTANCE_BASE = [1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049,
  3073, 4097, 6145, 8193, 12289, 16385, 24577];
const WHAT = "packed metadata";

/**
 * A canonical Huffman code: how many codes of each length there are, and the symbols in the order of their codes.
 *
 * @param {number[]} lengths of the codes, by symbol; 0 for none
 */
function huffman(lengths) {
  const counts = new Array(16).fill(0);
  for (const length of lengths) counts[length]++;
  counts[0] = 0;
  let left = 1;
  for (let length = 1; length < 16; length++) {
    left = 2 * left - counts[length];
    check(left >= 0, `${WHAT}: too many codes`);
  }
  const used = counts.reduce((sum, count) => sum + count, 0);
  check(left === 0 || used <= 1, `${WHAT}: codes are missing`);
  const symbols = lengths.map((_, symbol) => symbol).filter((symbol) => lengths[symbol]);
  return { counts, symbols: symbols.sort((a, b) => lengths[a] - lengths[b] || a - b) };
}

/** @param {Bits} bits @param {{counts: number[], symbols: number[]}} code */
function symbol(bits, code) {
  for (let length = 1, value = 0, first = 0, index = 0; length < 16; length++) {
    value |= bits.read(1);
    const count = code.counts[length];
    if (value < first + count) return code.symbols[index + value - first];
    index += count;
    first = (first + count) << 1;
    value <<= 1;
  }
  throw new SpkError("corrupt", `${WHAT}: a code that stands for nothing`);
}

/** The codes of a block with its own ones. @param {Bits} bits */
function ownCodes(bits) {
  const literals = bits.read(5) + 257;
  const distances = bits.read(5) + 1;
  const count = bits.read(4) + 4;
  check(literals <= 286 && distances <= 30, `${WHAT}: too many symbols`);
  const small = new Array(19).fill(0);
  for (let i = 0; i < count; i++) small[ORDER[i]] = bits.read(3);
  const code = huffman(small);
  const lengths = [];
  while (lengths.length < literals + distances) {
    const found = symbol(bits, code);
    if (found < 16) {
      lengths.push(found);
      continue;
    }
    check(found > 16 || lengths.length > 0, `${WHAT}: nothing to repeat`);
    const value = found === 16 ? lengths[lengths.length - 1] : 0;
    const times = [3, 3, 11][found - 16] + bits.read([2, 3, 7][found - 16]);
    check(lengths.length + times <= literals + distances, `${WHAT}: too many code lengths`);
    for (let i = 0; i < times; i++) lengths.push(value);
  }
  check(lengths[256] > 0, `${WHAT}: a block that cannot end`);
  return [huffman(lengths.slice(0, literals)), huffman(lengths.slice(literals))];
}

function fixedCodes() {
  const lengths = Array.from({ length: 288 }, (_, i) => (i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8));
  return [huffman(lengths), { counts: [0, 0, 0, 0, 0, 30], symbols: Array.from({ length: 30 }, (_, i) => i) }];
}

/**
 * @param {Uint8Array} data one stream, with nothing behind it
 * @param {Uint8Array} dictionary what the stream may refer back to
 * @param {number} most bytes that may come out
 */
export function inflate(data, dictionary, most) {
  const bits = new Bits(data, WHAT);
  const out = new Uint8Array(dictionary.length + most);
  out.set(dictionary);
  let at = dictionary.length;
  const room = (/** @type {number} */ size) => check(at + size <= out.length, `${WHAT}: longer than ${most} bytes`);
  for (let last = 0; !last; ) {
    last = bits.read(1);
    const kind = bits.read(2);
    check(kind !== 3, `${WHAT}: reserved block type`);
    if (kind === 0) {
      bits.read(-bits.at & 7);
      const size = bits.read(16);
      check((size ^ 0xffff) === bits.read(16), `${WHAT}: a stored block of two lengths`);
      room(size);
      for (let i = 0; i < size; i++) out[at++] = bits.read(8);
      continue;
    }
    const [literals, distances] = kind === 1 ? fixedCodes() : ownCodes(bits);
    for (let found = symbol(bits, literals); found !== 256; found = symbol(bits, literals)) {
      if (found < 256) {
        room(1);
        out[at++] = found;
        continue;
      }
      check(found < 286, `${WHAT}: a length that does not exist`);
      const length = LENGTH_BASE[found - 257] + bits.read(LENGTH_BITS[found - 257]);
      const far = symbol(bits, distances);
      const distance = DISTANCE_BASE[far] + bits.read(Math.max(0, (far >> 1) - 1));
      check(distance <= at, `${WHAT}: a distance that goes too far back`);
      room(length);
      for (let i = 0; i < length; i++, at++) out[at] = out[at - distance];
    }
  }
  check(8 * data.length - bits.at < 8, `${WHAT}: bytes left over`);
  return out.slice(dictionary.length, at);
}
