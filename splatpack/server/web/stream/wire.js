/** Messages of `splatpack.v1`: bytes to checked values and back (protocol.md, sections 3 and 4). */

import { SpkError } from "../spk/errors.js";
import { Float, pack, unpack } from "../spk/msgpack.js";

export const SUBPROTOCOL = "splatpack.v1";
export const VERSION = 1;
const CONTROL_MAX = 65536;
export const FRAGMENT_MAX = 65536;
export const FRAGMENT_HEADER = 20;
/** Item number of a scene's prefix; item numbers from PAGE on are leaf pages. */
export const PREFIX = 0xffffffff;
export const PAGE = 0x80000000;
export const FIRST = 1;
export const LAST = 2;
export const ABORTED = 4;
const MALFORMED = 4400;
const EXTENSION = 128;
const FRAGMENT = 10;
const RULES = { what: "message", deepest: 64, array: 8192, map: 64, binary: true, single: true };

/** The other end broke the protocol: the connection is to be closed with `close`. */
export class ProtocolError extends Error {
  /** @param {string} message @param {number} [close] */
  constructor(message, close = MALFORMED) {
    super(message);
    this.name = "ProtocolError";
    this.close = close;
  }
}

/** @typedef {(value: any) => any} Check returns the value that is meant, undefined where it is not allowed */

const plain = (/** @type {any} */ value) => (value instanceof Float ? value.value : value);
const isNumber = (/** @type {any} */ value) => typeof value === "number";
const integer = (/** @type {number} */ low, /** @type {number} */ high) => (/** @type {any} */ value) =>
  isNumber(value) && value >= low && value <= high ? value : undefined;
const real = (/** @type {number} */ low, /** @type {number} */ high) => (/** @type {any} */ value) => {
  const x = plain(value);
  return isNumber(x) && x >= low && x <= high ? x : undefined;
};
const reals = (/** @type {number} */ count, /** @type {number} */ low, /** @type {number} */ high) => {
  const each = real(low, high);
  return (/** @type {any} */ value) => {
    const found = Array.isArray(value) && value.length === count ? value.map(each) : [undefined];
    return found.includes(undefined) ? undefined : found;
  };
};
const integers = (/** @type {number} */ high, /** @type {number} */ most) => (/** @type {any} */ value) =>
  Array.isArray(value) && value.length <= most && value.every((x) => isNumber(x) && x >= 0 && x <= high)
    ? value
    : undefined;
const PRINTABLE = /^(?:[^\p{C}\p{Z}]| )*$/u;
const text = (/** @type {number} */ longest) => (/** @type {any} */ value) =>
  typeof value === "string" && [...value].length <= longest && PRINTABLE.test(value) ? value : undefined;
const blob = (/** @type {number} */ least, /** @type {number} */ most) => (/** @type {any} */ value) =>
  value instanceof Uint8Array && value.length >= least && value.length <= most ? value : undefined;
const boolean = (/** @type {any} */ value) => (typeof value === "boolean" ? value : undefined);
const unitQuat = (/** @type {any} */ value) => {
  const q = reals(4, -2, 2)(value);
  const norm = q && Math.hypot(...q);
  return q && Math.abs(norm - 1) <= 1e-3 ? q.map((/** @type {number} */ x) => x / norm) : undefined;
};

const U16 = integer(0, 65535);
const U32 = integer(0, 2 ** 32 - 1);
const U64 = integer(0, 2 ** 63 - 1024); // the largest number below 2^63 that JavaScript has
const IDS = integers(2 ** 32 - 2, 8192);
const POINT = reals(3, -1e30, 1e30);
const TIME = real(-1e15, 1e15);

/**
 * Fields of each kind of message: how they are checked, and their default; those without one are required.
 *
 * @type {Record<number, {type: string, fields: Record<string, [Check, any?]>}>}
 */
const KINDS = {
  1: { type: "hello", fields: {
    versions: [integers(65536, 16)], credit: [U64], client: [text(128), ""],
    max_fragment: [integer(1024, 65536), 65536] } },
  2: { type: "welcome", fields: {
    version: [integer(1, 65536)], server: [text(128), ""], session: [text(64), ""], idle: [real(0, 1e9), 120],
    views: [real(0, 1e9), 60], streams: [integer(1, 65536), 16] } },
  3: { type: "open", fields: {
    sid: [U16], scene: [text(200)], id: [blob(16, 16), undefined], have: [blob(0, CONTROL_MAX), undefined] } },
  4: { type: "manifest", fields: {
    sid: [U16], id: [blob(16, 16)], root: [blob(16, 16)], length: [U64], prefix: [integer(128, 2 ** 22)],
    chunks: [integer(1, PAGE - 1)], pages: [integer(0, 65536)], held: [U64, 0] } },
  5: { type: "view", fields: {
    sid: [U16], seq: [U32], pos: [POINT], quat: [unitQuat], fov_y: [real(0.001, Math.PI - 0.001)],
    viewport: [reals(2, 1, 65536)], vel: [POINT, [0, 0, 0]], angvel: [POINT, [0, 0, 0]], tau: [real(0, 1e6), 1],
    budget_bytes: [U64, undefined], budget_gaussians: [U64, undefined] } },
  6: { type: "credit", fields: { limit: [U64] } },
  7: { type: "want", fields: { sid: [U16], ids: [IDS, undefined] } },
  8: { type: "cancel", fields: { sid: [U16], ids: [IDS, undefined] } },
  9: { type: "evict", fields: { sid: [U16], ids: [IDS] } },
  11: { type: "idle", fields: { sid: [U16], seq: [U32, undefined] } },
  12: { type: "seek", fields: { sid: [U16], t: [real(-1e12, 1e12)] } },
  13: { type: "rate", fields: { sid: [U16], rate: [real(-1000, 1000)], loop: [boolean, false] } },
  14: { type: "stats", fields: {
    rtt: [real(0, 1e6), undefined], goodput: [real(0, 1e15), undefined], resident: [U64, undefined] } },
  15: { type: "ping", fields: { t: [TIME] } },
  16: { type: "pong", fields: { t: [TIME] } },
  17: { type: "error", fields: {
    code: [text(64)], message: [text(1024), ""], fatal: [boolean, false], sid: [U16, undefined],
    item: [U32, undefined] } },
  18: { type: "close_stream", fields: { sid: [U16] } },
};
const NUMBERS = new Map(Object.entries(KINDS).map(([kind, { type }]) => [type, Number(kind)]));

/**
 * The bytes of a control message; fields that are undefined are left out.
 *
 * @param {{type: string} & Record<string, any>} message
 */
export function encode({ type, ...body }) {
  return Uint8Array.from([Number(NUMBERS.get(type)), ...pack(body)]);
}

/**
 * Check and read a message. Safe on untrusted input.
 *
 * @param {Uint8Array} data
 * @returns {({type: string, kind: number} & Record<string, any>) | null} null: an extension that may be ignored
 */
export function decode(data) {
  if (data.length === 0) throw new ProtocolError("an empty message, expected a kind in its first byte");
  const kind = data[0];
  if (kind === FRAGMENT) return fragment(data);
  if (kind >= EXTENSION) return null;
  const known = KINDS[kind];
  if (known === undefined) throw new ProtocolError(`message of kind ${kind}, expected 1 to 18`);
  if (data.length > CONTROL_MAX) throw new ProtocolError(`a control message of ${data.length} bytes`);
  const body = readBody(data.subarray(1));
  /** @type {{type: string, kind: number} & Record<string, any>} */
  const message = { type: known.type, kind };
  for (const [name, [checked, ...rest]] of Object.entries(known.fields)) {
    if (body.has(name)) {
      message[name] = checked(body.get(name));
      if (message[name] === undefined) throw new ProtocolError(`${known.type}.${name}: a value that is not allowed`);
    } else if (rest.length) {
      message[name] = rest[0];
    } else {
      throw new ProtocolError(`${known.type}: ${name} is missing`);
    }
  }
  return message;
}

/** @param {Uint8Array} data */
function readBody(data) {
  try {
    return unpack(data, RULES);
  } catch (error) {
    if (error instanceof SpkError) throw new ProtocolError(error.message);
    throw error;
  }
}

/** A part of an item: a header of 20 bytes, then bytes. @param {Uint8Array} data */
function fragment(data) {
  if (data.length < FRAGMENT_HEADER) throw new ProtocolError(`a fragment of ${data.length} bytes`);
  const view = new DataView(data.buffer, data.byteOffset, data.length);
  const flags = data[1];
  const [item, total, offset, seq] = [4, 8, 12, 16].map((at) => view.getUint32(at, true));
  const bytes = data.subarray(FRAGMENT_HEADER);
  const end = offset + bytes.length;
  const aborted = (flags & ABORTED) !== 0;
  const fits = flags < 8 && bytes.length <= FRAGMENT_MAX && end <= total;
  const whole = bytes.length > 0 && !!(flags & FIRST) === (offset === 0) && !!(flags & LAST) === (end === total);
  if (!fits || (aborted ? bytes.length > 0 || flags !== ABORTED : !whole)) {
    throw new ProtocolError(`fragment: flags ${flags}, ${bytes.length} bytes at ${offset} of ${total}`);
  }
  return { type: "chunk", kind: FRAGMENT, flags, sid: view.getUint16(2, true), item, total, offset, seq, data: bytes };
}
