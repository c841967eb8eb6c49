/** The specification's files, for tests: its tables, its vectors, and a reader of the arrays that the good ones hold. */

import { readFileSync } from "node:fs";
import { inflateRawSync } from "node:zlib";

import { makeTables } from "../../splatpack/server/web/spk/scene.js";

const SPEC = new URL("../../spec/", import.meta.url);

/** @param {string} path @returns {Uint8Array} */
export function spec(path) {
  return new Uint8Array(readFileSync(new URL(path, SPEC)));
}

export const tables = makeTables(spec("codecs/defaults.txt"), spec("metadata.dict"));

/** @returns {{file: string, expect: string, why: string}[]} */
export function manifest() {
  return JSON.parse(new TextDecoder().decode(spec("vectors/manifest.json")));
}

const ARRAYS = {
  "<f4": Float32Array, "|i1": Int8Array, "|u1": Uint8Array, "<i2": Int16Array, "<u2": Uint16Array, "<i4": Int32Array,
  "<u4": Uint32Array, "<i8": BigInt64Array, "<u8": BigUint64Array,
};

/**
 * The arrays of an `.npz`, a zip of `.npy` files.
 *
 * @param {Uint8Array} data
 * @returns {Map<string, {shape: number[], values: any}>}
 */
export function readNpz(data) {
  const view = new DataView(data.buffer, data.byteOffset, data.length);
  let end = data.length - 22;
  while (view.getUint32(end, true) !== 0x06054b50) end--;
  const found = new Map();
  let at = view.getUint32(end + 16, true);
  for (let i = 0; i < view.getUint16(end + 10, true); i++) {
    const [method, packed] = [view.getUint16(at + 10, true), view.getUint32(at + 20, true)];
    const [name, extra, comment] = [28, 30, 32].map((k) => view.getUint16(at + k, true));
    const local = view.getUint32(at + 42, true);
    const start = local + 30 + view.getUint16(local + 26, true) + view.getUint16(local + 28, true);
    const bytes = data.subarray(start, start + packed);
    const title = new TextDecoder().decode(data.subarray(at + 46, at + 46 + name)).replace(/\.npy$/, "");
    found.set(title, readNpy(method ? new Uint8Array(inflateRawSync(bytes)) : bytes));
    at += 46 + name + extra + comment;
  }
  return found;
}

/** @param {Uint8Array} data */
function readNpy(data) {
  const size = data[8] | (data[9] << 8);
  const head = new TextDecoder().decode(data.subarray(10, 10 + size));
  const dtype = /** @type {keyof typeof ARRAYS} */ (/'descr': '([^']+)'/.exec(head)?.[1]);
  const shape = (/'shape': \(([^)]*)\)/.exec(head)?.[1] ?? "").split(",").filter((x) => x.trim()).map(Number);
  return { shape, values: new ARRAYS[dtype](data.slice(10 + size).buffer) };
}
