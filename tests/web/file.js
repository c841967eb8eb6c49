/** Whole files: every checksum, every chunk, in the words of format.md. */

import { Budget } from "../../splatpack/server/web/spk/bytes.js";
import { checkChunk, decodeChunk } from "../../splatpack/server/web/spk/chunk.js";
import { check } from "../../splatpack/server/web/spk/errors.js";
import { checkPart, parseHeader } from "../../splatpack/server/web/spk/header.js";
import { leafChunks } from "../../splatpack/server/web/spk/pages.js";
import { COEFFICIENTS } from "../../splatpack/server/web/spk/profiles.js";
import { checkChunks, parsePrefix, rowBytes } from "../../splatpack/server/web/spk/scene.js";
import { checkTree, drawn } from "../../splatpack/server/web/spk/tree.js";

/** @typedef {import("../../splatpack/server/web/spk/chunk.js").Gaussians} Gaussians */

/**
 * Decode a whole file.
 *
 * @param {Uint8Array} data
 * @param {import("../../splatpack/server/web/spk/scene.js").Tables} tables
 * @returns {{scene: import("../../splatpack/server/web/spk/scene.js").Scene, drawn: Gaussians[]}} the chunks that are
 *   the scene, in order
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
  return { scene, drawn: drawn(chunks, () => true).map((i) => decoded[i]) };
}

/**
 * Zeros of the rows and the degree of a scene, with a chunk's coefficients in front.
 *
 * @param {Gaussians} g
 * @param {number} degree of the scene
 */
export function widenSh(g, degree) {
  const from = 3 * COEFFICIENTS[g.degree];
  const to = 3 * COEFFICIENTS[degree];
  if (from === to) return g.shN;
  const out = new Float32Array(g.n * to);
  for (let i = 0; i < g.n; i++) out.set(g.shN.subarray(i * from, (i + 1) * from), i * to);
  return out;
}
