/** The header of a file (format.md, section 3). */

import { Cursor, same } from "./bytes.js";
import { crc32 } from "./crc32.js";
import { SpkError, check } from "./errors.js";
import { hash16 } from "./sha256.js";

export const HEADER_SIZE = 128;
/** Required features: models by parts, packed metadata, levels of detail. */
export const PARTED = 1;
export const PACKED = 2;
export const DETAIL = 4;

const SIGNATURE = [0x89, 0x53, 0x50, 0x4b, 0x0d, 0x0a, 0x1a, 0x0a];

/** @typedef {{length: number, crc: number, hash: Uint8Array}} Part */
/**
 * @typedef {object} Header
 * @property {number} required bits of required features
 * @property {number} length bytes of the file
 * @property {Part} root
 * @property {Part} metadata
 * @property {Part} tables
 * @property {number} prefix bytes up to the data region
 */

/**
 * @param {Uint8Array} data at least the first 128 bytes
 * @returns {Header}
 */
export function parseHeader(data) {
  check(same(data.subarray(0, 8), Uint8Array.from(SIGNATURE)), "not a .spk file: wrong signature");
  check(data.length >= HEADER_SIZE, `header: ${data.length} bytes, expected ${HEADER_SIZE}`);
  const head = data.subarray(0, HEADER_SIZE);
  const cursor = new Cursor(head, "header");
  check(crc32(head.subarray(0, 124)) === cursor.view.getUint32(124, true), "header: wrong crc32");
  cursor.skip(8);
  const major = cursor.u16();
  cursor.skip(2); // any minor version
  const kind = cursor.u8();
  const zeros = [...cursor.take(3), ...head.subarray(112, 124)];
  const required = cursor.view.getBigUint64(16, true);
  if (major !== 1 || required > 7n || kind !== 1) {
    const found = `major version ${major}, required features 0x${required.toString(16)}, asset kind ${kind}`;
    throw new SpkError("unsupported", `${found}. This viewer shows Gaussian scenes of format 1.2.`);
  }
  check(zeros.every((byte) => byte === 0), "header: reserved bytes are not zero");
  cursor.skip(16);
  const length = cursor.u64();
  const parts = [0, 1, 2].map((i) => ({
    length: cursor.u32(),
    crc: cursor.u32(),
    hash: head.slice(64 + 16 * i, 80 + 16 * i),
  }));
  const [root, metadata, tables] = parts;
  check(root.length <= 16256, `header: a root page of ${root.length} bytes, expected at most 16256`);
  check(metadata.length <= 2 ** 20 && tables.length <= 2 ** 20, "header: metadata or tables of more than 1 MiB");
  const prefix = HEADER_SIZE + root.length + metadata.length + tables.length;
  check(prefix <= length, "header: the parts pass the end of the file");
  return { required: Number(required), length, root, metadata, tables, prefix };
}

/**
 * Hold bytes to the length, crc32 and hash that are known of them.
 *
 * @param {Uint8Array} data
 * @param {Part} part
 * @param {string} what
 */
export function checkPart(data, part, what) {
  check(data.length === part.length, `${what}: ${data.length} bytes, expected ${part.length}`);
  check(crc32(data) === part.crc, `${what}: wrong crc32`);
  check(same(hash16(data), part.hash), `${what}: wrong hash`);
}
