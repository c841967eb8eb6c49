/** Levels of detail: which chunks are drawn (format.md, section 5.3). */

import { check } from "./errors.js";

/** @typedef {import("./pages.js").Chunk} Chunk */

/**
 * Hold parents and successors to the rules. Chunks whose page has not come yet are undefined.
 *
 * @param {(Chunk | undefined)[]} chunks
 */
export function checkTree(chunks) {
  const children = new Array(chunks.length).fill(0);
  chunks.forEach((chunk, i) => {
    if (!chunk || chunk.parent < 0) return;
    check(chunk.parent < i, `chunk ${i}: its parent ${chunk.parent} does not stand before it`);
    const parent = chunks[chunk.parent];
    if (!parent) return;
    check(chunk.level <= parent.level, `chunk ${i}: its parent is finer`);
    const enough = parent.successors === 0 || ++children[chunk.parent] <= parent.successors;
    check(enough, `chunk ${chunk.parent}: more successors than the ${parent.successors} that it names`);
  });
}

/**
 * The numbers of the chunks that are drawn when some are at hand.
 *
 * @param {(Chunk | undefined)[]} chunks
 * @param {(i: number) => boolean} atHand
 */
export function drawn(chunks, atHand) {
  const here = chunks.map((chunk, i) => chunk !== undefined && atHand(i));
  const children = new Array(chunks.length).fill(0);
  chunks.forEach((chunk, i) => {
    if (chunk && here[i] && chunk.parent >= 0) children[chunk.parent]++;
  });
  /** @type {boolean[]} */
  const reached = [];
  /** @type {number[]} */
  const shown = [];
  chunks.forEach((chunk, i) => {
    const above = chunk ? chunk.parent : -1;
    const open = above < 0 || (reached[above] && children[above] >= (chunks[above]?.successors ?? Infinity));
    reached.push(here[i] && open);
    const replaced = chunk && chunk.successors > 0 && children[i] >= chunk.successors;
    if (reached[i] && !replaced) shown.push(i);
  });
  return shown;
}
