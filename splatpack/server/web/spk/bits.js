/** Bit strings, least significant bit first. */

import { check } from "./errors.js";

/** Reads a bit string from its start. */
export class Bits {
  /**
   * @param {Uint8Array} data
   * @param {string} what
   */
  constructor(data, what) {
    this.data = data;
    this.what = what;
    this.at = 0;
  }

  /**
   * A number of so many bits.
   *
   * @param {number} count 0 to 32
   */
  read(count) {
    check(this.at + count <= 8 * this.data.length, `${this.what}: ends early`);
    let value = 0;
    for (let got = 0; got < count; ) {
      const bit = this.at & 7;
      const size = Math.min(8 - bit, count - got);
      value += ((this.data[this.at >> 3] >> bit) & ((1 << size) - 1)) * 2 ** got;
      this.at += size;
      got += size;
    }
    return value;
  }

  /**
   * A signed exponential Golomb number (rans.md, section 4).
   *
   * @param {number} order
   */
  golomb(order) {
    let zeros = 0;
    while (this.read(1) === 0) check(++zeros <= 32, `${this.what}: a number too long`);
    const coded = 2 ** (zeros + order) + this.read(Math.min(zeros + order, 32)) - 2 ** order;
    return coded % 2 ? -(coded + 1) / 2 : coded / 2;
  }

  /** Refuse whole bytes that are left over, and padding that is not zero. */
  end() {
    const rest = 8 * this.data.length - this.at;
    check(rest < 8, `${this.what}: bytes left over`);
    check(this.read(rest) === 0, `${this.what}: padding is not zero`);
  }
}
