/** Whole files: every checksum, every chunk, in the words of format.md. */

import { Budget } from "./bytes.js";
import { checkChunk, decodeChunk } from "./chunk.js";
import { check } from "./errors.js";
import { checkPart, parseHeader } from "./header.js";
import { leafChunks } from "./pages.js";
import { checkChunks, parsePrefix, rowBytes } from "./scene.js";
import { checkTree, drawn } from "./tree.js";

/** @typedef {import("./chunk.js").Gaussians} Gaussians */

/**
 * Decode a whole file.
 *
 * @param {Uint8Array} data
 * @param {import("./scene.js").Tables} tables
 * @returns {{scene: import("./scene.js").Scene, chunks: import("./pages.js").Chunk[], drawn: Gaussians[]}} the chunks
 *   that are the scene, in order
 */
export function decodeFile(data, tables) {
  const header = parseHeader(data);
  check(header.length === data.length, `the file has ${data.length} bytes, its header says ${header.length}`);
  const scene = parsePrefix(data.subarray(0, header.prefix), tables);
  const chunks = scene.chunks ?? scene.leaves.flatMap((leaf, i) => {
    const bytes = data.subarray(leaf.offset, leaf.offset + leaf.length);
    checkPart(bytes, leaf, `leaf page ${i}`);
    return leafChunks(bytes, leaf, header.required, `leaf page ${i}`);
  });
  checkTree(chunks);
  checkChunks(chunks, scene.profiles);
  const budget = new Budget(data.length);
  budget.spend(scene.n * rowBytes(scene));
  const decoded = chunks.map((chunk) => {
    const bytes = data.subarray(chunk.offset, chunk.offset + chunk.length);
    checkChunk(bytes, chunk);
    return decodeChunk(bytes, chunk, scene, { extras: true, budget });
  });
  return { scene, chunks, drawn: drawn(chunks, () => true).map((i) => decoded[i]) };
}
