/** The geometry section of the splat codec (splat.md, section 4). */

import { Cursor } from "./bytes.js";
import { toRgb, restoreChannel } from "./colour.js";
import { check } from "./errors.js";
import { TokenStream, unzigzag } from "./tokens.js";

/** @typedef {import("./model.js").Model} Model */
/** @typedef {import("./profiles.js").Splat} Splat */
/** @typedef {Record<string, Float32Array>} Attributes */

const Q20 = 2 ** 20;
const SYMBOL = 65535;
/** No symbol that is allowed has a zigzag of more: twice the sum of the largest symbol and the largest offset. */
const VALUE = 2 ** 18 - 1;
const LEVELS = [0, 1, 1, 2, 2, 2, 2, 3];
const LN2 = 726817; // in Q20
const SIDES = Array.from({ length: 49 }, (_, k) => sideOf(2 ** k));
const WIDTHS = SIDES.map((side) => widthOf(side ** 3 - 1));

/** The largest integer whose cube is at most `volume`. @param {number} volume */
function sideOf(volume) {
  let side = Math.floor(Math.cbrt(volume)) + 1;
  while (side ** 3 > volume) side--;
  return side;
}

/** Bits of a number below 2^53. @param {number} value */
function widthOf(value) {
  let width = 0;
  while (2 ** width <= value) width++;
  return width;
}

/**
 * Decode the geometry of n Gaussians.
 *
 * @param {Uint8Array} data
 * @param {number} n
 * @param {Splat} splat
 * @param {Model} model
 * @returns {{found: Attributes, classes: Int32Array}}
 */
export function decodeGeometry(data, n, splat, model) {
  const cursor = new Cursor(data, "geometry");
  const code = new Morton(cursor.view.getBigUint64(cursor.skip(8), true), splat.attributes.includes("means"));
  const reader = new Geometry(new TokenStream(cursor.rest(), model), n, splat);
  const has = (/** @type {string} */ name) => splat.attributes.includes(name);
  /** @type {Attributes} */
  const found = {};
  const steps = has("means") ? reader.steps() : null;
  if (has("scales")) found.scales = reader.scales(has("quats"));
  if (has("opacities")) found.opacities = reader.opacities();
  if (has("quats")) found.quats = reader.quats();
  if (has("sh0")) found.sh0 = reader.sh0();
  if (steps) found.means = reader.means(code, steps);
  reader.stream.end();
  return { found, classes: reader.classes };
}

/** A Morton code of 57 bits: 10 bits an axis in the low 30 bits, 9 in the high 27. */
class Morton {
  /** @param {bigint} code @param {boolean} used */
  constructor(code, used) {
    check(code < 1n << 57n, "geometry: a Morton code out of range");
    check(used || code === 0n, "geometry: a Morton code without means");
    this.low = Number(code & 0x3fffffffn);
    this.high = Number(code >> 30n);
  }

  /** @param {number} low @param {number} high */
  add(low, high) {
    const sum = this.low + low;
    this.low = sum & 0x3fffffff;
    this.high += high + (sum >= 2 ** 30 ? 1 : 0);
    check(this.high < 2 ** 27, "geometry: a Morton code out of range");
  }

  /** The index along an axis. @param {number} axis */
  index(axis) {
    return every3(this.low >>> axis) | (every3(this.high >>> axis) << 10);
  }
}

/** Every third bit of 30, from the lowest. @param {number} x */
function every3(x) {
  x &= 0x09249249;
  x = (x ^ (x >>> 2)) & 0x030c30c3;
  x = (x ^ (x >>> 4)) & 0x0300f00f;
  x = (x ^ (x >>> 8)) & 0x030000ff;
  return (x ^ (x >>> 16)) & 0x000003ff;
}

/** Reads the planes of a geometry section in their order. */
class Geometry {
  /** @param {TokenStream} stream @param {number} n @param {Splat} splat */
  constructor(stream, n, splat) {
    this.stream = stream;
    this.n = n;
    this.splat = splat;
    stream.fill((n + 31) >> 5, 0);
    const blocks = stream.values((n + 31) >> 5, 7);
    this.classes = this.plane((i) => 1 + blocks[i >> 5], 7);
    this.s0 = new Int32Array(n);
    this.d1 = new Int32Array(n);
    this.d2 = new Int32Array(n);
  }

  /** A plane whose contexts are given. @param {(i: number) => number} context @param {number} most */
  plane(context, most = VALUE) {
    const { n, stream } = this;
    const base = stream.room(n);
    const { tableOf } = stream.model;
    for (let i = 0; i < n; i++) base[i] = tableOf[context(i)];
    return stream.values(n, most);
  }

  steps() {
    this.stream.fill(this.n, 9);
    return this.stream.wideValues(this.n);
  }

  /** @param {boolean} sorted whether the axes are, because rotations are coded too */
  scales(sorted) {
    const { n, classes, s0, d1, d2 } = this;
    const { scale, scale_offset: offset } = this.splat.tables;
    const first = this.plane((i) => 10 + classes[i]);
    const second = this.plane((i) => 18 + classes[i]);
    const third = this.plane((i) => 26 + 8 * Math.min(second[i], 7) + classes[i]);
    const out = new Float32Array(3 * n);
    for (let i = 0; i < n; i++) {
      s0[i] = unzigzag(first[i]) + offset[classes[i]];
      d1[i] = sorted ? second[i] : unzigzag(second[i]);
      d2[i] = sorted ? third[i] : unzigzag(third[i]);
      inRange(s0[i], SYMBOL, "scales");
      inRange(d1[i], SYMBOL, "scales");
      inRange(d2[i], SYMBOL, "scales");
      const step = scale[classes[i]] / Q20;
      out[3 * i] = s0[i] * step;
      out[3 * i + 1] = (s0[i] - d1[i]) * step;
      out[3 * i + 2] = (s0[i] - d1[i] - d2[i]) * step;
    }
    return out;
  }

  opacities() {
    const { n, classes } = this;
    const { opacity, opacity_offset: offset } = this.splat.tables;
    const values = this.plane((i) => 90 + classes[i]);
    const out = new Float32Array(n);
    for (let i = 0; i < n; i++) {
      const symbol = inRange(unzigzag(values[i]) + offset[classes[i]], SYMBOL, "opacities");
      out[i] = symbol * (opacity[classes[i]] / Q20);
    }
    return out;
  }

  quats() {
    const { n, classes, d1, d2 } = this;
    const { rotation } = this.splat.tables;
    const shape = (/** @type {number} */ i) => (d1[i] === 0 && d2[i] === 0 ? 0 : d1[i] > d2[i] ? 1 : 2);
    const axes = [0, 1, 2].map((axis) => this.plane((i) => 98 + 24 * axis + 3 * classes[i] + shape(i)));
    const out = new Float32Array(4 * n);
    for (let i = 0; i < n; i++) {
      const step = rotation[classes[i]] / Q20;
      const x = inRange(unzigzag(axes[0][i]), SYMBOL, "quats") * step;
      const y = inRange(unzigzag(axes[1][i]), SYMBOL, "quats") * step;
      const z = inRange(unzigzag(axes[2][i]), SYMBOL, "quats") * step;
      const d = x * x + y * y + z * z;
      out[4 * i] = (1 - d) / (1 + d);
      out[4 * i + 1] = (2 * x) / (1 + d);
      out[4 * i + 2] = (2 * y) / (1 + d);
      out[4 * i + 3] = (2 * z) / (1 + d);
    }
    return out;
  }

  sh0() {
    const { n, classes, stream } = this;
    const { colour } = this.splat.tables;
    const { tableOf } = stream.model;
    const level = new Uint8Array(n);
    const channels = [170, 178, 210].map((first, channel) => {
      const base = stream.room(n);
      for (let i = 0; i < n; i++) {
        base[i] = tableOf[channel ? first + 4 * classes[i] + LEVELS[level[i]] : first + classes[i]];
      }
      const { low, high } = stream.wideValues(n, 49);
      for (let i = 0; i < n; i++) level[i] = high[i] ? 7 : Math.min(7, Math.max(level[i], low[i]));
      return restoreChannel(low, high, classes, colour);
    });
    const out = new Float32Array(3 * n);
    for (let i = 0; i < n; i++) {
      const step = colour[classes[i]] / Q20;
      toRgb(channels[0][i] * step, channels[1][i] * step, channels[2][i] * step, out, 3 * i);
    }
    return out;
  }

  /** @param {Morton} code @param {{low: Int32Array, high: Int32Array}} steps */
  means(code, steps) {
    const { n, classes, s0, d1, stream } = this;
    const { position, slope } = this.splat.tables;
    const [x, y, z, cell] = this.splat.lattice;
    const out = new Float32Array(3 * n);
    for (let i = 0; i < n; i++) {
      code.add(steps.low[i], steps.high[i]);
      const c = classes[i];
      const wanted = 3 * (position[c] - (s0[i] - d1[i]) * slope[c]);
      const k = Math.min(Math.max(Math.ceil(wanted / LN2), 0), 48);
      const side = SIDES[k];
      const v = stream.wideBits(WIDTHS[k]);
      const rows = Math.floor(v / side);
      const c0 = Math.floor(rows / side);
      check(c0 < side, "geometry: a position out of its cell");
      out[3 * i] = x + (code.index(0) + (c0 + 0.5) / side) * cell;
      out[3 * i + 1] = y + (code.index(1) + ((rows % side) + 0.5) / side) * cell;
      out[3 * i + 2] = z + (code.index(2) + ((v % side) + 0.5) / side) * cell;
    }
    return out;
  }
}

/** @param {number} symbol @param {number} largest @param {string} what */
function inRange(symbol, largest, what) {
  check(symbol >= -largest && symbol <= largest, `${what}: a symbol out of range`);
  return symbol;
}
