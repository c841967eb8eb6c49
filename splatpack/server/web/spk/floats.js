/** The serializer `floats`: any bit patterns of float32, as they are (columns.md). */

import { check } from "./errors.js";
import { parseModel } from "./model.js";
import { TokenStream } from "./tokens.js";

/** @typedef {import("./bytes.js").Cursor} Cursor */

const COPIES = 1;
const UNIT = 2;
const LOW = 4;
const CONTEXTS = 365;
const LANES = 32;
const SHIFTS = [23, 31, 20, 16, 8, 0];
const LIMITS = [255, 1, 7, 15, 255, 255];
/** Contexts under which a token is a difference to the number of the row before. */
const FOLLOWS = [359, 362];

/**
 * The pieces of the numbers of one component, each by position.
 *
 * @typedef {Uint8Array[]} Pieces
 */

/**
 * @param {Cursor} cursor
 * @param {number} n rows
 * @param {number} components
 * @param {import("./bytes.js").Budget} budget
 * @returns {Float32Array} (n, components)
 */
export function decodeFloats(cursor, n, components, budget) {
  const head = readHead(cursor, n, components);
  const model = parseModel(cursor.take(head.modelSize), CONTEXTS);
  budget.spend(20 * n * components);
  const low = head.flags & LOW ? null : cursor.take(2 * components * head.m);
  const stream = new TokenStream(cursor.rest(), model);
  check(stream.raw.length === 0, `${cursor.what}: raw bits`);
  const distances = new Uint8Array(n);
  if (head.flags & COPIES) {
    stream.fill(n, 364);
    stream.tokens(n, distances);
  }
  const coded = [];
  distances.forEach((d, i) => {
    check(d <= i, `${cursor.what}: a copy of nothing`);
    if (d === 0) coded.push(i);
  });
  check(coded.length === head.m, `${cursor.what}: ${coded.length} coded rows, expected ${head.m}`);
  const numbers = new Rows(stream, head, components, low, cursor.what).decode();
  stream.end();
  const out = new Uint32Array(n * components);
  for (let i = 0, k = 0; i < n; i++) {
    const d = distances[i];
    const from = d ? out.subarray((i - d) * components) : numbers.subarray(k++ * components);
    for (let j = 0; j < components; j++) out[i * components + j] = from[j];
  }
  return new Float32Array(out.buffer);
}

/** @param {Cursor} cursor @param {number} n @param {number} components */
function readHead(cursor, n, components) {
  const flags = cursor.u8();
  check(flags <= 7 && cursor.u8() === 0, `${cursor.what}: unknown flags`);
  check(cursor.u16() === components, `${cursor.what}: wrong number of components`);
  check(cursor.u32() === n, `${cursor.what}: wrong number of rows`);
  const m = cursor.u32();
  const modelSize = cursor.u32();
  check(m >= 1 && m <= n && (m === n || flags & COPIES), `${cursor.what}: ${m} coded rows of ${n}`);
  check(!(flags & UNIT) || components === 4, `${cursor.what}: rotations of ${components} components`);
  const bases = cursor.take(components);
  check(bases.every((base) => base > 0), `${cursor.what}: a base of 0`);
  return { flags, m, modelSize, bases };
}

/** Decodes the coded rows, component by component. */
class Rows {
  constructor(
    /** @type {TokenStream} */ stream,
    /** @type {{flags: number, m: number, bases: Uint8Array}} */ head,
    /** @type {number} */ components,
    /** @type {Uint8Array | null} */ low,
    /** @type {string} */ what,
  ) {
    this.stream = stream;
    this.head = head;
    this.components = components;
    this.low = low;
    this.what = what;
    this.numbers = new Uint32Array(head.m * components);
    this.rows = rowOfPosition(head.m);
  }

  decode() {
    const { flags } = this.head;
    const order = flags & UNIT ? [1, 2, 3, 0] : Array.from({ length: this.components }, (_, j) => j);
    /** @type {Pieces} */
    let left = emptyPieces(this.head.m);
    for (const j of order) left = this.component(j, left);
    return this.numbers;
  }

  /** Decode one component; returns its pieces. @param {number} j @param {Pieces} left */
  component(j, left) {
    const { m, flags, bases } = this.head;
    const own = emptyPieces(m);
    if (this.low) {
      for (const [k, piece] of [4, 5].entries()) {
        const at = (k * this.components + j) * m;
        own[piece].set(this.low.subarray(at, at + m));
      }
    }
    const guide = flags & UNIT && j === 0 ? this.guide() : null;
    const pieces = flags & LOW ? 6 : 4;
    for (let first = 0; first < m; first += LANES) {
      const count = Math.min(LANES, m - first);
      for (let piece = 0; piece < pieces; piece++) this.plane(piece, first, count, own, left, guide);
    }
    for (let p = 0; p < m; p++) {
      const x = own[0][p];
      let bits = (x ? 1 + ((bases[j] - x + 255) % 255) : 0) << 23;
      for (let piece = 1; piece < 6; piece++) bits |= own[piece][p] << SHIFTS[piece];
      this.numbers[this.rows[p] * this.components + j] = bits;
    }
    return own;
  }

  /** Decode one piece at the positions of a group. */
  plane(
    /** @type {number} */ piece,
    /** @type {number} */ first,
    /** @type {number} */ count,
    /** @type {Pieces} */ own,
    /** @type {Pieces} */ left,
    /** @type {Pieces | null} */ guide,
  ) {
    const { stream } = this;
    const base = stream.room(LANES);
    const contexts = new Uint16Array(count);
    const before = guide ?? own;
    const back = guide ? 0 : LANES;
    for (let i = 0; i < count; i++) {
      contexts[i] = contextOf(piece, first + i, own, left, before, first + i - back, guide !== null);
      base[i] = stream.model.tableOf[contexts[i]];
    }
    const out = own[piece].subarray(first, first + count);
    stream.tokens(count, out);
    for (let i = 0; i < count; i++) {
      check(out[i] <= LIMITS[piece], `${this.what}: a token out of range`);
      if (FOLLOWS.includes(contexts[i])) out[i] += pieceAt(before[piece], first + i - back); // modulo 256
    }
  }

  /** The pieces of what the first component of a unit rotation must be about: sqrt(1 - x x - y y - z z). */
  guide() {
    const { m, bases } = this.head;
    const bits = new Uint32Array(3);
    const number = new Float32Array(bits.buffer);
    const guess = new Float32Array(1);
    const guessBits = new Uint32Array(guess.buffer);
    const pieces = emptyPieces(m);
    for (let p = 0; p < m; p++) {
      bits.set(this.numbers.subarray(this.rows[p] * 4 + 1, this.rows[p] * 4 + 4));
      const [x, y, z] = number;
      const rest = 1 - (x * x + y * y + z * z);
      guess[0] = rest > 0 ? Math.sqrt(rest) : 0;
      const exponent = (guessBits[0] >>> 23) & 255;
      pieces[0][p] = exponent ? 1 + ((bases[0] - exponent + 255) % 255) : 0;
      for (let piece = 1; piece < 6; piece++) pieces[piece][p] = (guessBits[0] >>> SHIFTS[piece]) & LIMITS[piece];
    }
    return pieces;
  }
}

/** @param {number} m @returns {Pieces} */
function emptyPieces(m) {
  return SHIFTS.map(() => new Uint8Array(m));
}

/** The coded row at each position: 32 runs, one a lane. @param {number} m */
function rowOfPosition(m) {
  const each = Math.floor(m / LANES);
  const more = m % LANES;
  return Int32Array.from({ length: m }, (_, p) => {
    const lane = p % LANES;
    return lane * each + Math.min(lane, more) + Math.floor(p / LANES);
  });
}

/** A piece, 0 where there is no such position. @param {Uint8Array} piece @param {number} p */
function pieceAt(piece, p) {
  return p >= 0 ? piece[p] : 0;
}

/** The context of a piece: that of the number `own` at position p, with neighbours `left` at p and `before` at q. */
function contextOf(
  /** @type {number} */ piece,
  /** @type {number} */ p,
  /** @type {Pieces} */ own,
  /** @type {Pieces} */ left,
  /** @type {Pieces} */ before,
  /** @type {number} */ q,
  /** @type {boolean} */ guided,
) {
  const x = own[0][p];
  const xL = left[0][p];
  const xP = pieceAt(before[0], q);
  if (piece === 0) return 10 * Math.min(xL, 9) + Math.min(xP, 9);
  if (piece === 1) {
    return 100 + ((5 * left[1][p] + near(xL, x)) * 2 + pieceAt(before[1], q)) * 5 + near(xP, x);
  }
  if (x === 0) return [321, 357, 360, 363][piece - 2];
  const gP = guided ? own[1][p] : pieceAt(before[1], q);
  const sameP = (/** @type {number} */ count) => {
    if (xP !== x || (count > 1 && gP !== own[1][p])) return false;
    for (let k = 2; k < count; k++) if (pieceAt(before[k], q) !== own[k][p]) return false;
    return true;
  };
  if (piece === 2) {
    const f = (/** @type {number} */ xQ, /** @type {number} */ gQ, /** @type {number} */ uQ) =>
      x === xQ && own[1][p] === gQ ? uQ : own[1][p] !== gQ ? 8 : xQ > x ? 9 : 10;
    return 200 + 11 * f(xP, gP, pieceAt(before[2], q)) + f(xL, left[1][p], left[2][p]);
  }
  if (piece === 3) {
    if (sameP(3)) return 322 + pieceAt(before[3], q);
    if (xL === x && left[1][p] === own[1][p] && left[2][p] === own[2][p]) return 338 + left[3][p];
    const step = sameP(2) ? pieceAt(before[2], q) - own[2][p] : 9;
    return step === -1 ? 354 : step === 1 ? 355 : 356;
  }
  return (sameP(piece) ? 359 : 358) + 3 * (piece - 4);
}

/** @param {number} a @param {number} x */
function near(a, x) {
  return Math.min(Math.max(a - x, -2), 2) + 2;
}
