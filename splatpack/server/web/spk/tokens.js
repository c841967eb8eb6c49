/** Token streams: 32 interleaved rANS lanes and a string of raw bits (rans.md, sections 1 to 3). */

import { Cursor } from "./bytes.js";
import { check } from "./errors.js";

/** @typedef {import("./model.js").Model} Model */

const LANES = 32;
const LOW = 2 ** 30;

/** Decodes the planes of a token stream one after the other. */
export class TokenStream {
  /**
   * @param {Uint8Array} data
   * @param {Model} model
   */
  constructor(data, model) {
    const cursor = new Cursor(data, "token stream");
    const words = cursor.u32();
    const raw = cursor.u32();
    this.states = new Int32Array(LANES);
    for (let lane = 0; lane < LANES; lane++) this.states[lane] = cursor.u32();
    check(this.states.every((x) => x >>> 16 !== 0), "token stream: a state below 65536");
    const bytes = cursor.take(2 * words);
    this.words = new Uint16Array(words);
    for (let i = 0; i < words; i++) this.words[i] = bytes[2 * i] | (bytes[2 * i + 1] << 8);
    this.raw = cursor.take(raw);
    cursor.end();
    this.model = model;
    this.word = 0;
    this.byte = 0;
    this.bit = 0;
    /** Where the table of each value of the next plane begins: callers fill it. */
    this.base = new Int32Array(0);
    this.kept = new Uint8Array(0);
  }

  /**
   * The same context for each of n values.
   *
   * @param {number} n
   * @param {number} context
   */
  fill(n, context) {
    this.room(n).fill(this.model.tableOf[context], 0, n);
  }

  /**
   * Room for the tables of n values.
   *
   * @param {number} n
   */
  room(n) {
    if (this.base.length < n) this.base = new Int32Array(n);
    return this.base;
  }

  /** Room for n tokens. @param {number} n */
  scratch(n) {
    if (this.kept.length < n) this.kept = new Uint8Array(n);
    return this.kept;
  }

  /**
   * Decode a plane of n tokens, whose tables are in `base`.
   *
   * @param {number} n
   * @param {Uint8Array} out
   */
  tokens(n, out) {
    const { states, words, base } = this;
    const { slots } = this.model;
    let word = this.word;
    for (let row = 0; row < n; row += LANES) {
      const count = Math.min(LANES, n - row);
      for (let lane = 0; lane < count; lane++) {
        let x = states[lane];
        const slot = slots[base[row + lane] + (x & 4095)];
        out[row + lane] = slot >>> 24;
        x = (Math.imul(((slot >>> 12) & 4095) + 1, x >>> 12) + (slot & 4095)) | 0;
        if (x >>> 16 === 0) x = (x << 16) | words[word++];
        states[lane] = x;
      }
    }
    check(word <= words.length, "token stream: words end early");
    this.word = word;
  }

  /**
   * Decode a plane of n values.
   *
   * @param {number} n
   * @param {number} most the largest that is allowed, below 2^31
   */
  values(n, most) {
    const tokens = this.scratch(n);
    this.tokens(n, tokens);
    const out = new Int32Array(n);
    const largest = Math.floor(Math.log2(most));
    let greatest = 0;
    for (let i = 0; i < n; i++) {
      let value = tokens[i];
      if (value >= 32) {
        const e = ((value - 32) >> 2) + 5;
        check(e <= largest, "token stream: a token out of range");
        value = ((4 | (value & 3)) << (e - 2)) | this.bits(e - 2);
      }
      if (value > greatest) greatest = value;
      out[i] = value;
    }
    check(greatest <= most, "token stream: a value out of range");
    return out;
  }

  /**
   * Decode a plane of n values of up to 57 bits, each as its low 30 bits and the rest.
   *
   * @param {number} n
   * @param {number} bits that a value may have
   */
  wideValues(n, bits = 57) {
    const tokens = this.scratch(n);
    this.tokens(n, tokens);
    const low = new Int32Array(n);
    const high = new Int32Array(n);
    for (let i = 0; i < n; i++) {
      const token = tokens[i];
      if (token < 32) {
        low[i] = token;
        continue;
      }
      const width = ((token - 32) >> 2) + 3;
      check(width < bits - 2, "token stream: a token out of range");
      const top = 4 | (token & 3);
      if (width >= 30) {
        low[i] = this.bits(30);
        high[i] = top * 2 ** (width - 30) + this.bits(width - 30);
      } else {
        const value = top * 2 ** width + this.bits(width);
        low[i] = value % LOW;
        high[i] = Math.floor(value / LOW);
      }
    }
    return { low, high };
  }

  /**
   * The next raw bits as a number.
   *
   * @param {number} count 0 to 30
   */
  bits(count) {
    if (count > 24) {
      const low = this.bits(15);
      return low | (this.bits(count - 15) << 15);
    }
    const { raw, byte, bit } = this;
    const end = bit + count;
    this.byte = byte + (end >> 3);
    this.bit = end & 7;
    const need = this.byte + (this.bit ? 1 : 0);
    check(need <= raw.length, "token stream: raw bits end early");
    const window = raw[byte] | (raw[byte + 1] << 8) | (raw[byte + 2] << 16) | (raw[byte + 3] << 24);
    return (window >>> bit) & ((1 << count) - 1);
  }

  /**
   * The next raw bits as a number that may be wide.
   *
   * @param {number} count 0 to 53
   */
  wideBits(count) {
    if (count <= 30) return this.bits(count);
    const low = this.bits(30);
    return low + this.bits(count - 30) * LOW;
  }

  /** Refuse what was not used. */
  end() {
    check(this.word === this.words.length, "token stream: words left over");
    check(this.states.every((x) => x === 65536), "token stream: does not end in its first state");
    check(this.byte + (this.bit ? 1 : 0) === this.raw.length, "token stream: raw bytes left over");
    check(this.bit === 0 || this.raw[this.byte] >> this.bit === 0, "token stream: padding is not zero");
  }
}

/**
 * Signed numbers from their zigzag.
 *
 * @param {number} z below 2^31
 */
export function unzigzag(z) {
  return (z >>> 1) ^ -(z & 1);
}
