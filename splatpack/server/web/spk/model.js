/** Entropy models: a context map and tables of frequencies (rans.md, sections 4 and 5). */

import { Bits } from "./bits.js";
import { Cursor, fromHex } from "./bytes.js";
import { crc32 } from "./crc32.js";
import { SpkError, check } from "./errors.js";
import { PARTED } from "./header.js";

const NEVER = 49;
const WEIGHTS = Array.from({ length: NEVER }, (_, cost) => Math.round(2 ** (16 - cost / 4)));
const SLOTS = 4096;
/** Contexts in each part of a section's model, in order. */
const PARTS = { geometry: [1, 8, 1, 8, 8, 64, 8, 72, 8, 32, 32], sh: [8, 48, 48, 48, 48, 48, 48] };

/**
 * @typedef {object} Model
 * @property {Int32Array} tableOf where the table of a context begins in `slots`
 * @property {Uint32Array} slots for each slot of each table: token << 24 | freq - 1 << 12 | slot - start
 */

/** Frequencies of tokens with sum 4096. @param {number[]} costs */
function frequencies(costs) {
  const weights = costs.map((cost) => (cost === NEVER ? 0 : WEIGHTS[cost]));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  check(total > 0, "model: a table without tokens");
  const freq = weights.map((weight) => (weight ? Math.max(1, Math.floor((weight * SLOTS) / total)) : 0));
  for (;;) {
    const excess = freq.reduce((sum, f) => sum + f, 0) - SLOTS;
    if (excess === 0) return freq;
    const best = freq.indexOf(Math.max(...freq));
    freq[best] -= Math.min(excess, freq[best] - 1); // a negative excess is added
  }
}

/** @param {Uint32Array} slots of one table @param {number[]} costs */
function fillTable(slots, costs) {
  let at = 0;
  frequencies(costs).forEach((freq, token) => {
    for (let i = 0; i < freq; i++) slots[at++] = (token << 24) | ((freq - 1) << 12) | i;
  });
}

/**
 * A model of so many contexts.
 *
 * @param {Uint8Array} data
 * @param {number} contexts
 * @returns {Model}
 */
export function parseModel(data, contexts) {
  const bits = new Bits(data, "model");
  const count = bits.read(8);
  check(count >= 1 && count <= 64, `model: ${count} tables, expected 1 to 64`);
  const tableOf = new Int32Array(contexts);
  for (let i = 0, now = 0; i < contexts; i++) {
    now += bits.golomb(0);
    check(now >= 0 && now < count, "model: a table number out of range");
    tableOf[i] = now * SLOTS;
  }
  const slots = new Uint32Array(count * SLOTS);
  for (let table = 0; table < count; table++) {
    const costs = new Array(bits.read(8) + 1);
    for (let i = 0, now = 0; i < costs.length; i++) {
      now += bits.golomb(1);
      check(now >= 0 && now <= NEVER, "model: a cost out of range");
      costs[i] = now;
    }
    fillTable(slots.subarray(table * SLOTS, (table + 1) * SLOTS), costs);
  }
  bits.end();
  return { tableOf, slots };
}

/** The default models of the specification. */
export class Defaults {
  /** @param {Uint8Array} text `defaults.txt` */
  constructor(text) {
    if (crc32(text) !== 0xeca5dfeb) throw new Error("defaults.txt is not that of the specification");
    const rows = new TextDecoder().decode(text).trim().split("\n").map((line) => line.split(" "));
    /** @type {Map<string, string>} */
    this.texts = new Map(rows.map(([kind, part, number, hex]) => [`${kind} ${part} ${number}`, hex]));
    /** @type {Map<string, Model>} */
    this.models = new Map();
  }

  /** @param {"geometry" | "sh"} kind @param {number} part @param {number} number @returns {Model} */
  get(kind, part, number) {
    const key = `${kind} ${part} ${number}`;
    const hex = this.texts.get(key);
    if (hex === undefined) throw new SpkError("unsupported", `default model ${number} of ${kind}, part ${part}`);
    const made = this.models.get(key) ?? parseModel(fromHex(hex), PARTS[kind][part]);
    this.models.set(key, made);
    return made;
  }
}

/**
 * The model of a section, by parts if it begins with 0 and the file may hold such models.
 *
 * @param {Uint8Array} data
 * @param {"geometry" | "sh"} kind
 * @param {number} required
 * @param {Defaults} defaults
 * @returns {Model}
 */
export function parseSectionModel(data, kind, required, defaults) {
  const sizes = PARTS[kind];
  const contexts = sizes.reduce((sum, size) => sum + size, 0);
  if (!(required & PARTED) || data[0] !== 0) return parseModel(data, contexts);
  const cursor = new Cursor(data.subarray(1), "model by parts");
  const nibbles = [...cursor.take((sizes.length + 1) >> 1)].flatMap((byte) => [byte & 15, byte >> 4]);
  check(nibbles.slice(sizes.length).every((nibble) => nibble === 0), "model by parts: padding is not zero");
  const choices = nibbles.slice(0, sizes.length);
  const own = sizes.reduce((sum, size, part) => sum + (choices[part] ? 0 : size), 0);
  const model = own ? parseModel(cursor.rest(), own) : null;
  cursor.end();
  return join(sizes, choices, model, (part) => defaults.get(kind, part, choices[part]));
}

/** One model of many: contexts in order, tables one after the other. */
function join(
  /** @type {number[]} */ sizes,
  /** @type {number[]} */ choices,
  /** @type {Model | null} */ own,
  /** @type {(part: number) => Model} */ defaultOf,
) {
  const used = choices.map((choice, part) => (choice ? defaultOf(part) : null));
  const length = used.reduce((sum, model) => sum + (model ? model.slots.length : 0), own ? own.slots.length : 0);
  const slots = new Uint32Array(length);
  const tableOf = new Int32Array(sizes.reduce((sum, size) => sum + size, 0));
  if (own) slots.set(own.slots);
  let end = own ? own.slots.length : 0;
  let context = 0;
  let ownContext = 0;
  sizes.forEach((size, part) => {
    const model = used[part];
    for (let i = 0; i < size; i++, context++) {
      tableOf[context] = model ? end + model.tableOf[i] : /** @type {Model} */ (own).tableOf[ownContext++];
    }
    if (model) {
      slots.set(model.slots, end);
      end += model.slots.length;
    }
  });
  return { tableOf, slots };
}
