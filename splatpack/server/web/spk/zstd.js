/** Zstandard (RFC 8878): one frame without dictionary that declares its size, with nothing behind it. */

import { Cursor } from "./bytes.js";
import { SpkError, check } from "./errors.js";
import { constantTable, fseDescription, fseTable } from "./fse.js";
import { Backward } from "./backward.js";
import { huffmanStream, huffmanTable, huffmanWeights } from "./huffman.js";
import { xxh64 } from "./xxh64.js";

/** @typedef {import("./fse.js").Fse} Fse */

const LARGEST_BLOCK = 128 * 1024;
const range = (/** @type {number} */ from, /** @type {number} */ to) =>
  Array.from({ length: to - from }, (_, i) => from + i);
const LL_BITS = [...new Array(16).fill(0), 1, 1, 1, 1, 2, 2, 3, 3, 4, ...range(6, 17)];
const ML_BITS = [...new Array(32).fill(0), 1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, ...range(7, 17)];
const bases = (/** @type {number[]} */ bits, /** @type {number} */ first) =>
  bits.map((_, code) => bits.slice(0, code).reduce((sum, count) => sum + 2 ** count, first));
const LL_BASE = bases(LL_BITS, 0);
const ML_BASE = bases(ML_BITS, 3);
const times = (/** @type {number} */ count, /** @type {number} */ value) => new Array(count).fill(value);
/** Predefined counts and their accuracy, largest accuracy, number of codes: literal lengths, offsets, match lengths. */
const CODES = [
  {
    counts: [4, 3, ...times(11, 2), 1, 1, 1, ...times(9, 2), 3, 2, 1, 1, 1, 1, 1, -1, -1, -1, -1],
    ...{ log: 6, largest: 9, symbols: 36 },
  },
  { counts: [1, 1, 1, 1, 1, 1, 2, 2, 2, ...times(15, 1), -1, -1, -1, -1, -1], log: 5, largest: 8, symbols: 32 },
  { counts: [1, 4, 3, 2, 2, 2, 2, 2, 2, ...times(37, 1), ...times(7, -1)], log: 6, largest: 9, symbols: 53 },
];

/**
 * @param {Uint8Array} data
 * @param {import("./bytes.js").Budget} budget charged with the declared size before anything is made
 */
export function decodeZstd(data, budget) {
  const cursor = new Cursor(data, "zstd");
  check(cursor.u32() === 0xfd2fb528, "zstd: not a frame");
  const head = cursor.u8();
  check((head & 8) === 0, "zstd: reserved bit");
  const single = (head & 32) !== 0;
  let window = 0;
  if (!single) {
    const descriptor = cursor.u8();
    const base = 2 ** (10 + (descriptor >> 3));
    window = base + (base / 8) * (descriptor & 7);
  }
  const dictionary = cursor.take([0, 1, 2, 4][head & 3]);
  check(dictionary.every((byte) => byte === 0), "zstd: needs a dictionary");
  check(single || head >= 64, "zstd: the content size is not declared");
  const size = head < 64 ? cursor.u8() : head < 128 ? cursor.u16() + 256 : head < 192 ? cursor.u32() : cursor.u64();
  budget.spend(size);
  const frame = new Frame(size, single ? size : window);
  for (let last = 0; !last; ) last = frame.block(cursor);
  check(frame.at === size, `zstd: ${frame.at} bytes of content, ${size} declared`);
  if (head & 4) check(cursor.u32() === Number(xxh64(frame.out) & 0xffffffffn), "zstd: wrong checksum");
  cursor.end();
  return frame.out;
}

/** The content as far as it is decoded, and what blocks hand on to later ones. */
class Frame {
  /** @param {number} size @param {number} window */
  constructor(size, window) {
    this.out = new Uint8Array(size);
    this.at = 0;
    this.window = window;
    /** @type {import("./huffman.js").Huffman | null} */
    this.huffman = null;
    /** @type {(Fse | null)[]} */
    this.tables = [null, null, null];
    this.recent = [1, 4, 8];
  }

  /** Decode a block; returns whether it is the last. @param {Cursor} cursor */
  block(cursor) {
    const block = cursor.u16() | (cursor.u8() << 16);
    const kind = (block >> 1) & 3;
    const size = block >> 3;
    check(kind !== 3, "zstd: reserved block type");
    check(size <= Math.min(this.window, LARGEST_BLOCK), "zstd: a block too large");
    if (kind === 0) this.append(cursor.take(size));
    else if (kind === 1) this.append(new Uint8Array(size).fill(cursor.u8()));
    else this.compressed(new Cursor(cursor.take(size), "zstd: block"));
    return block & 1;
  }

  /** @param {Uint8Array} bytes */
  append(bytes) {
    check(this.at + bytes.length <= this.out.length, "zstd: more content than declared");
    this.out.set(bytes, this.at);
    this.at += bytes.length;
  }

  /** Literals, then sequences that place them and copy matches. @param {Cursor} cursor */
  compressed(cursor) {
    const literals = this.literals(cursor);
    const limit = this.at + Math.min(this.window, LARGEST_BLOCK);
    let used = 0;
    this.sequences(cursor, (length, value, match) => {
      check(used + length <= literals.length, "zstd: a sequence needs more literals than there are");
      this.append(literals.subarray(used, used + length));
      used += length;
      const offset = this.offset(value, length);
      check(offset > 0 && offset <= Math.min(this.at, this.window), "zstd: an offset out of range");
      check(this.at + match <= Math.min(limit, this.out.length), "zstd: a block too large");
      for (let i = 0; i < match; i++, this.at++) this.out[this.at] = this.out[this.at - offset];
    });
    this.append(literals.subarray(used));
    check(this.at <= limit, "zstd: a block too large");
  }

  /** The literals section (3.1.1.3.1). @param {Cursor} cursor */
  literals(cursor) {
    const head = cursor.u8();
    const kind = head & 3;
    const form = (head >> 2) & 3;
    const more = (/** @type {number} */ count) =>
      cursor.take(count).reduce((sum, byte, i) => sum + byte * 2 ** (8 * i + 8), head);
    if (kind < 2) {
      const size = Math.floor(more([0, 1, 0, 2][form]) / 2 ** (form & 1 ? 4 : 3));
      check(size <= LARGEST_BLOCK, "zstd: too many literals");
      return kind === 0 ? cursor.take(size) : new Uint8Array(size).fill(cursor.u8());
    }
    const sizes = Math.floor(more([2, 2, 3, 4][form]) / 16);
    const width = 2 ** [10, 10, 14, 18][form];
    const size = sizes % width;
    check(size <= LARGEST_BLOCK, "zstd: too many literals");
    const streams = new Cursor(cursor.take(Math.floor(sizes / width)), "zstd: literals");
    if (kind === 2) this.huffman = huffmanTable(huffmanWeights(streams));
    if (this.huffman === null) throw new SpkError("corrupt", "zstd: no Huffman tree to use again");
    const out = new Uint8Array(size);
    if (form === 0) {
      huffmanStream(streams.rest(), out, this.huffman);
      return out;
    }
    const lengths = [streams.u16(), streams.u16(), streams.u16()];
    const quarter = Math.floor((size + 3) / 4);
    check(3 * quarter <= size, "zstd: too few literals for four streams");
    for (let i = 0; i < 4; i++) {
      const part = i < 3 ? streams.take(lengths[i]) : streams.rest();
      huffmanStream(part, out.subarray(i * quarter, i < 3 ? (i + 1) * quarter : size), this.huffman);
    }
    return out;
  }

  /**
   * The sequences section (3.1.1.3.2).
   *
   * @param {Cursor} cursor
   * @param {(literals: number, offset: number, match: number) => void} each
   */
  sequences(cursor, each) {
    let count = cursor.u8();
    if (count === 255) count = cursor.u16() + 0x7f00;
    else if (count >= 128) count = ((count - 128) << 8) + cursor.u8();
    if (count === 0) {
      cursor.end();
      return;
    }
    const modes = cursor.u8();
    check((modes & 3) === 0, "zstd: reserved bits");
    const [lengths, offsets, matches] = [6, 4, 2].map((shift, which) =>
      this.table(which, (modes >> shift) & 3, cursor),
    );
    const stream = new Backward(cursor.rest());
    let [ll, of, ml] = [lengths, offsets, matches].map((table) => stream.read(table.log));
    for (let i = 0; i < count; i++) {
      const offset = 2 ** offsets.symbol[of] + stream.read(offsets.symbol[of]);
      const match = ML_BASE[matches.symbol[ml]] + stream.read(ML_BITS[matches.symbol[ml]]);
      const length = LL_BASE[lengths.symbol[ll]] + stream.read(LL_BITS[lengths.symbol[ll]]);
      if (i + 1 < count) {
        ll = lengths.base[ll] + stream.read(lengths.bits[ll]);
        ml = matches.base[ml] + stream.read(matches.bits[ml]);
        of = offsets.base[of] + stream.read(offsets.bits[of]);
      }
      each(length, offset, match);
    }
    check(stream.left === 0, "zstd: sequence bits left over");
  }

  /**
   * The table of one kind of code; it is kept for later blocks.
   *
   * @param {number} which
   * @param {number} mode
   * @param {Cursor} cursor
   */
  table(which, mode, cursor) {
    const { counts, log, largest, symbols } = CODES[which];
    if (mode === 0) this.tables[which] = fseTable(counts, log);
    else if (mode === 2) this.tables[which] = fseDescription(cursor, largest, symbols);
    else if (mode === 1) {
      const symbol = cursor.u8();
      check(symbol < symbols, "zstd: a code out of range");
      this.tables[which] = constantTable(symbol);
    }
    const table = this.tables[which];
    if (table === null) throw new SpkError("corrupt", "zstd: no table to use again");
    return table;
  }

  /**
   * The offset that a value means, with the three recent ones (3.1.1.5).
   *
   * @param {number} value
   * @param {number} literals
   */
  offset(value, literals) {
    if (value > 3) {
      this.recent = [value - 3, this.recent[0], this.recent[1]];
      return this.recent[0];
    }
    const which = value - 1 + (literals === 0 ? 1 : 0);
    const offset = which < 3 ? this.recent[which] : this.recent[0] - 1;
    this.recent = [offset, ...this.recent.filter((_, i) => i !== which)].slice(0, 3);
    return offset;
  }
}
