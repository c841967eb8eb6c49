/** Bounded reading of little-endian fields, and the budget of what a file may expand to. */

import { SpkError, check } from "./errors.js";

/** Reads fields from bytes, never past their end. */
export class Cursor {
  /**
   * @param {Uint8Array} data
   * @param {string} what the name of the thing that is read, for errors
   */
  constructor(data, what) {
    this.data = data;
    this.what = what;
    this.at = 0;
    this.view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  }

  /** Bytes that are not read yet. */
  get left() {
    return this.data.length - this.at;
  }

  /**
   * Step over bytes; returns where they begin.
   *
   * @param {number} size
   */
  skip(size) {
    check(size <= this.left, `${this.what}: ends early`);
    this.at += size;
    return this.at - size;
  }

  /**
   * The next bytes, as a view.
   *
   * @param {number} size
   */
  take(size) {
    const at = this.skip(size);
    return this.data.subarray(at, at + size);
  }

  /** The bytes up to the end. */
  rest() {
    return this.take(this.left);
  }

  u8() {
    return this.view.getUint8(this.skip(1));
  }

  u16() {
    return this.view.getUint16(this.skip(2), true);
  }

  u32() {
    return this.view.getUint32(this.skip(4), true);
  }

  /** An unsigned integer of 64 bits, which must be exact as a JavaScript number: nothing real is larger. */
  u64() {
    const value = this.view.getBigUint64(this.skip(8), true);
    check(value <= BigInt(Number.MAX_SAFE_INTEGER), `${this.what}: ${value} is too large`);
    return Number(value);
  }

  /** Refuse bytes that are left over. */
  end() {
    check(this.left === 0, `${this.what}: ${this.left} bytes left over`);
  }
}

/** What a file may still expand to, in bytes; everything large is charged before it is made. */
export class Budget {
  /** @param {number} fileLength */
  constructor(fileLength) {
    this.left = Math.max(256 * 2 ** 20, 1000 * fileLength);
  }

  /** @param {number} size bytes */
  spend(size) {
    if (size > this.left) {
      throw new SpkError("limit", `the file expands to more than allowed: ${size} bytes more, ${this.left} left`);
    }
    this.left -= size;
  }
}

/**
 * Whether two byte strings are the same.
 *
 * @param {Uint8Array} a
 * @param {Uint8Array} b
 */
export function same(a, b) {
  return a.length === b.length && a.every((x, i) => x === b[i]);
}

/**
 * Hexadecimal digits to bytes; the digits are ours, not a file's.
 *
 * @param {string} text
 */
export function fromHex(text) {
  return Uint8Array.from({ length: text.length / 2 }, (_, i) => parseInt(text.slice(2 * i, 2 * i + 2), 16));
}
