/** Gaussians from back to front: two passes of a radix sort over the upper 24 bits of their depths. */

const DIGIT = 4096;

/** The centres of what is drawn, and where each Gaussian lies in the textures. */
export class Depths {
  constructor() {
    /** @type {Map<number, {means: Float32Array, slot: number}>} */
    this.chunks = new Map();
    /** @type {number[]} */
    this.shown = [];
    this.size = 0;
    this.keys = [new Uint32Array(0), new Uint32Array(0)];
    this.slots = [new Uint32Array(0), new Uint32Array(0)];
  }

  /** @param {number} item @param {Float32Array} means @param {number} slot of its first Gaussian */
  add(item, means, slot) {
    this.chunks.set(item, { means, slot });
  }

  /** @param {number[]} items the chunks that are drawn */
  show(items) {
    this.shown = items;
    this.size = items.reduce((sum, item) => sum + (this.chunks.get(item)?.means.length ?? 0) / 3, 0);
    if (this.keys[0].length >= this.size) return;
    const room = Math.ceil(this.size * 1.25);
    this.keys = [new Uint32Array(room), new Uint32Array(room)];
    this.slots = [new Uint32Array(room), new Uint32Array(room)];
  }

  /**
   * The slots of what lies beyond the near plane, from back to front.
   *
   * @param {number[]} axis the third row of the view matrix: depth is axis . (x, y, z, 1)
   * @param {number} near
   * @returns {Uint32Array}
   */
  sort(axis, near) {
    const n = this.collect(axis, near);
    const low = new Uint32Array(DIGIT);
    const high = new Uint32Array(DIGIT);
    const [from, to] = this.keys;
    for (let i = 0; i < n; i++) {
      low[from[i] & 4095]++;
      high[from[i] >>> 12]++;
    }
    this.pass(n, low, 0);
    this.keys = [to, from];
    this.slots.reverse();
    this.pass(n, high, 12);
    this.keys = [from, to];
    this.slots.reverse();
    return this.slots[0].slice(0, n);
  }

  /** Fill keys (the nearer, the larger) and slots; returns how many. @param {number[]} axis @param {number} near */
  collect([a, b, c, d], near) {
    const depth = new Float32Array(1);
    const bits = new Uint32Array(depth.buffer);
    const keys = this.keys[0];
    const slots = this.slots[0];
    let n = 0;
    for (const item of this.shown) {
      const chunk = this.chunks.get(item);
      if (!chunk) continue;
      const { means, slot } = chunk;
      for (let k = 0, i = slot; k < means.length; k += 3, i++) {
        const z = a * means[k] + b * means[k + 1] + c * means[k + 2] + d;
        if (!(z >= near)) continue;
        depth[0] = z;
        keys[n] = 0xffffff - (bits[0] >>> 7); // the sign is 0, so 24 bits are left: 8 of exponent, 16 of mantissa
        slots[n++] = i;
      }
    }
    return n;
  }

  /**
   * Move keys and slots to their places by one digit.
   *
   * @param {number} n
   * @param {Uint32Array} counts
   * @param {number} shift
   */
  pass(n, counts, shift) {
    const [keys, keysTo] = this.keys;
    const [slots, slotsTo] = this.slots;
    let sum = 0;
    for (let digit = 0; digit < DIGIT; digit++) {
      const count = counts[digit];
      counts[digit] = sum;
      sum += count;
    }
    for (let i = 0; i < n; i++) {
      const at = counts[(keys[i] >>> shift) & 4095]++;
      keysTo[at] = keys[i];
      slotsTo[at] = slots[i];
    }
  }
}

/**
 * Serve the page: `chunk`, `shown` and `sort` come in, `order` goes out.
 *
 * @param {{postMessage: Function, onmessage: any}} port the worker's global scope
 */
export function sorter(port) {
  let depths = new Depths();
  port.onmessage = (/** @type {{data: any}} */ { data }) => {
    if (data.type === "clear") depths = new Depths();
    else if (data.type === "chunk") depths.add(data.item, data.means, data.slot);
    else if (data.type === "shown") depths.show(data.items);
    else {
      const slots = depths.sort(data.axis, data.near);
      port.postMessage({ type: "order", slots, turn: data.turn }, [slots.buffer]);
    }
  };
}
