/** What to fetch next where no server decides: chunks by priority, parents first (protocol.md, section 7.4). */

import { groupOf, rowOf, scorer, scores } from "./priority.js";

/** The order in which the chunks of a scene are fetched. Chunks may become known later, with their page. */
export class Scheduler {
  /** @param {number} near the least distance that is told apart */
  constructor(near) {
    this.near = near;
    /** @type {Map<number, import("./priority.js").Row>} */
    this.rows = new Map();
    /** @type {Set<number>} */
    this.sent = new Set();
    /** @type {import("./priority.js").View | null} */
    this.view = null;
    /** @type {number[]} */
    this.order = [];
    /** @type {Map<number, number>} */
    this.pixels = new Map();
    /** Chunks of each group that were not sent. @type {Map<number, number>} */
    this.missing = new Map();
  }

  /**
   * Make chunks known.
   *
   * @param {number} first number of the first one
   * @param {import("../spk/pages.js").Chunk[]} chunks
   */
  add(first, chunks) {
    chunks.forEach((chunk, i) => this.rows.set(first + i, rowOf(chunk)));
    if (this.view) this.look(this.view);
  }

  /**
   * Order by a new view.
   *
   * @param {import("./priority.js").View} view
   * @param {number} [ahead]
   */
  look(view, ahead = 0) {
    this.view = view;
    const { score, pixels } = scorer(view, this.near, ahead);
    const found = scores(this.rows, score);
    const by = (/** @type {number} */ i) => Number(found.get(i));
    this.pixels = new Map([...this.rows].map(([i, row]) => [i, pixels(row)]));
    this.order = [...this.rows.keys()].filter((i) => !this.sent.has(i)).sort((a, b) => by(b) - by(a) || a - b);
    this.missing.clear();
    for (const i of this.order) {
      const group = this.group(i);
      this.missing.set(group, (this.missing.get(group) ?? 0) + 1);
    }
  }

  /** @param {number} i */
  group(i) {
    const row = this.rows.get(i);
    return row ? groupOf(this.rows, row) : -1;
  }

  /** The chunk to fetch now, or null where the view wants no more. It counts as sent. */
  next() {
    const at = this.order.findIndex((i) => this.admissible(i));
    if (at < 0) return null;
    const [found] = this.order.splice(at, 1);
    const group = this.group(found);
    this.missing.set(group, Number(this.missing.get(group)) - 1);
    this.sent.add(found);
    return found;
  }

  /**
   * Whether a chunk has no parent, or one that was sent, with its whole group, and is not good enough.
   *
   * @param {number} i
   */
  admissible(i) {
    const parent = this.rows.get(i)?.parent ?? -1;
    if (parent < 0) return true;
    const group = this.group(parent);
    const whole = this.sent.has(parent) && (group < 0 || !this.missing.get(group));
    return whole && (this.pixels.get(parent) ?? Infinity) > (this.view?.tau ?? 1);
  }
}
