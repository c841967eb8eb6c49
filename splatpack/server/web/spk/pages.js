/** Directory pages and the chunks that they list (format.md, section 5). */

import { Cursor } from "./bytes.js";
import { SpkError, check } from "./errors.js";
import { DETAIL } from "./header.js";

/** Bytes of an entry and how they are read, by column. */
const U8 = { size: 1, get: (/** @type {DataView} */ v, /** @type {number} */ i) => v.getUint8(i) };
const U32 = { size: 4, get: (/** @type {DataView} */ v, /** @type {number} */ i) => v.getUint32(4 * i, true) };
const U64 = {
  size: 8,
  get: (/** @type {DataView} */ v, /** @type {number} */ i) => Number(v.getBigUint64(8 * i, true)),
};
const F32 = { size: 4, get: (/** @type {DataView} */ v, /** @type {number} */ i) => v.getFloat32(4 * i, true) };
const POINT = {
  size: 12,
  get: (/** @type {DataView} */ v, /** @type {number} */ i) => [0, 4, 8].map((k) => v.getFloat32(12 * i + k, true)),
};
const HASH = {
  size: 16,
  get: (/** @type {DataView} */ v, /** @type {number} */ i) =>
    new Uint8Array(v.buffer, v.byteOffset + 16 * i, 16).slice(),
};

const OPTIONAL = { 128: F32, 129: F32 };
const CHUNK = { 1: U32, 2: U32, 3: U8, 4: U8, 5: POINT, 6: POINT, 7: F32, 8: HASH, 9: U8, 10: U8, 11: U32, 12: U32 };
const LEVELS = { 13: U32, 14: U32 };
const INDEX = { 1: U32, 2: U64, 3: U8, 5: POINT, 6: POINT, 7: F32, 8: HASH, 20: U32, 21: U32, 22: U64 };

/**
 * @typedef {object} Page
 * @property {number} kind 0 chunks, 1 index
 * @property {number} entries
 * @property {number} first offset of the first entry
 * @property {Record<number, any[]>} columns
 */
/**
 * @typedef {object} Chunk
 * @property {number} offset
 * @property {number} length bytes
 * @property {number} count Gaussians
 * @property {number} level
 * @property {number} profile
 * @property {number[]} low corner of the box of its centres
 * @property {number[]} high
 * @property {number} reach
 * @property {Uint8Array} hash
 * @property {{kind: number, length: number, crc: number}[]} sections
 * @property {number} parent number of the chunk, -1 for none
 * @property {number} successors
 * @property {number} error 0 for unknown, as gain
 * @property {number} gain
 */

/**
 * @param {Uint8Array} data
 * @param {number} required features of the header
 * @param {string} what
 * @returns {Page}
 */
export function parsePage(data, required, what) {
  const cursor = new Cursor(data, what);
  const kind = cursor.u8();
  const count = cursor.u8();
  const zero = cursor.u16();
  const entries = cursor.u32();
  const first = cursor.u64();
  check(kind <= 1, `${what}: page kind ${kind}`);
  check(zero === 0, `${what}: reserved bytes are not zero`);
  /** @type {Record<number, typeof U8>} */
  const known = kind ? INDEX : { ...CHUNK, ...(required & DETAIL ? LEVELS : {}), ...OPTIONAL };
  const found = readColumns(cursor, count);
  for (const id of found.keys()) {
    if (id < 128 && !(id in known)) throw new SpkError("unsupported", `${what}: unknown column ${id}`);
  }
  for (const id of Object.keys(known)) check(+id >= 128 || found.has(+id), `${what}: column ${id} is missing`);
  const sections = kind ? 0 : found.get(9).reduce((/** @type {number} */ sum, /** @type {number} */ n) => sum + n, 0);
  /** @type {Record<number, any[]>} */
  const columns = {};
  for (const id of Object.keys(known).map(Number)) {
    const bytes = found.get(id);
    if (bytes === undefined) continue;
    const rows = kind === 0 && id >= 10 && id <= 12 ? sections : entries;
    const { size, get } = known[id];
    check(bytes.length === rows * size, `${what}: column ${id} has ${bytes.length} bytes, expected ${rows * size}`);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    columns[id] = Array.from({ length: rows }, (_, i) => get(view, i));
  }
  checkRanges(columns, what);
  return { kind, entries, first, columns };
}

/** @param {Cursor} cursor @param {number} count @returns {Map<number, any>} */
function readColumns(cursor, count) {
  const found = new Map();
  for (let i = 0, last = -1; i < count; i++) {
    const id = cursor.u8();
    check(cursor.take(3).every((byte) => byte === 0), `${cursor.what}: reserved bytes are not zero`);
    check(id > last, `${cursor.what}: column ids do not ascend`);
    found.set(id, cursor.take(cursor.u32()));
    last = id;
  }
  cursor.end();
  return found;
}

/** @param {Record<number, any[]>} columns @param {string} what */
function checkRanges(columns, what) {
  check(columns[3].every((level) => level <= 31), `${what}: a level above 31`);
  columns[5].forEach((low, i) => {
    const high = columns[6][i];
    check([...low, ...high].every(Number.isFinite), `${what}: a box that is not finite`);
    check(low.every((/** @type {number} */ x, /** @type {number} */ k) => x <= high[k]), `${what}: a box upside down`);
  });
  for (const id of [7, 128, 129]) {
    const fine = (columns[id] ?? []).every((x) => Number.isFinite(x) && x >= 0);
    check(fine, `${what}: column ${id} is negative or not finite`);
  }
}

/**
 * The chunks of a chunk page.
 *
 * @param {Page} page
 * @param {string} what
 * @returns {Chunk[]}
 */
export function pageChunks(page, what) {
  check(page.kind === 0, `${what}: not a chunk page`);
  const c = page.columns;
  let offset = page.first;
  let section = 0;
  return c[1].map((length, i) => {
    check(c[2][i] >= 1 && c[2][i] <= 65536, `${what}: a chunk of ${c[2][i]} Gaussians`);
    check(c[9][i] >= 1 && c[9][i] <= 16, `${what}: a chunk of ${c[9][i]} sections`);
    const sections = Array.from({ length: c[9][i] }, (_, k) => ({
      kind: c[10][section + k],
      length: c[11][section + k],
      crc: c[12][section + k],
    }));
    const ascend = sections.every((s, k) => k === 0 || sections[k - 1].kind < s.kind);
    check(ascend, `${what}: section kinds do not ascend`);
    const sum = sections.reduce((total, s) => total + s.length, 0);
    check(sum === length, `${what}: a chunk of ${length} bytes, its sections have ${sum}`);
    offset += length;
    section += sections.length;
    return {
      ...{ offset: offset - length, length, count: c[2][i], level: c[3][i], profile: c[4][i], low: c[5][i] },
      ...{ high: c[6][i], reach: c[7][i], hash: c[8][i], sections, parent: c[13] ? c[13][i] - 1 : -1 },
      ...{ successors: c[14] ? c[14][i] : 0, error: c[128] ? c[128][i] : 0, gain: c[129] ? c[129][i] : 0 },
    };
  });
}

/**
 * @typedef {object} Leaf what the index page says of a leaf page
 * @property {number} offset
 * @property {number} length
 * @property {number} crc
 * @property {Uint8Array} hash
 * @property {number} chunks
 * @property {number} count Gaussians
 * @property {number} level the finest
 * @property {number[]} low
 * @property {number[]} high
 * @property {number} reach
 * @property {number} span bytes of the page and its chunks
 */

/**
 * The leaf pages that an index page lists.
 *
 * @param {Page} page
 * @returns {Leaf[]}
 */
export function pageLeaves(page) {
  const c = page.columns;
  let offset = page.first;
  return c[1].map((length, i) => {
    check(c[21][i] >= 1 && c[21][i] <= 512, `leaf page ${i}: ${c[21][i]} chunks, expected 1 to 512`);
    check(c[22][i] >= length && Number.isSafeInteger(c[22][i]), `leaf page ${i}: a span of ${c[22][i]} bytes`);
    offset += c[22][i];
    return {
      ...{ offset: offset - c[22][i], length, crc: c[20][i], hash: c[8][i], chunks: c[21][i], count: c[2][i] },
      ...{ level: c[3][i], low: c[5][i], high: c[6][i], reach: c[7][i], span: c[22][i] },
    };
  });
}

/**
 * The chunks of a leaf page, which must be what the index page says of it.
 *
 * @param {Uint8Array} data checked against length, crc32 and hash
 * @param {Leaf} leaf
 * @param {number} required
 * @param {string} what
 */
export function leafChunks(data, leaf, required, what) {
  const page = parsePage(data, required, what);
  check(page.first === leaf.offset + leaf.length, `${what}: its chunks begin elsewhere`);
  const chunks = pageChunks(page, what);
  check(chunks.length === leaf.chunks, `${what}: ${chunks.length} chunks, its entry says ${leaf.chunks}`);
  const sum = (/** @type {(c: Chunk) => number} */ of) => chunks.reduce((total, c) => total + of(c), 0);
  check(sum((c) => c.count) === leaf.count, `${what}: other Gaussians than its entry says`);
  check(leaf.length + sum((c) => c.length) === leaf.span, `${what}: another span than its entry says`);
  for (let k = 0; k < 3; k++) {
    const low = Math.min(...chunks.map((c) => c.low[k]));
    const high = Math.max(...chunks.map((c) => c.high[k]));
    check(low === leaf.low[k] && high === leaf.high[k], `${what}: another box than its entry says`);
  }
  check(Math.max(...chunks.map((c) => c.reach)) === leaf.reach, `${what}: another reach than its entry says`);
  check(Math.min(...chunks.map((c) => c.level)) === leaf.level, `${what}: another finest level than its entry says`);
  return chunks;
}
