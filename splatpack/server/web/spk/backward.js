/** Zstandard's bit streams, which are read from their end. */

import { check } from "./errors.js";

/** Reads from the end of some bytes, where a one bit marks the last bit. */
export class Backward {
  /** @param {Uint8Array} data */
  constructor(data) {
    const last = data[data.length - 1] ?? 0;
    check(last !== 0, "zstd: a bit stream without an end mark");
    this.data = data;
    /** Bits that are not read yet. */
    this.left = 8 * (data.length - 1) + (31 - Math.clz32(last));
  }

  /** A number of so many bits. @param {number} count 0 to 32 */
  read(count) {
    this.left -= count;
    check(this.left >= 0, "zstd: a bit stream ends early");
    let value = 0;
    for (let got = 0; got < count; ) {
      const at = this.left + got;
      const size = Math.min(8 - (at & 7), count - got);
      value += ((this.data[at >> 3] >> (at & 7)) & ((1 << size) - 1)) * 2 ** got;
      got += size;
    }
    return value;
  }
}
