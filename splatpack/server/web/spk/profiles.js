/** Profiles: how the sections of a chunk are coded (format.md, sections 4.1 and 4.2; splat.md, section 2). */

import { SpkError, check } from "./errors.js";
import { array, boolean, exactMap, integer, real } from "./values.js";

export const ATTRIBUTES = ["means", "scales", "quats", "opacities", "sh0", "shN"];
/** Coefficients of shN, by degree. */
export const COEFFICIENTS = [0, 3, 8, 15];
/** Bytes of an entry, by dtype. */
export const DTYPES = { "<f4": 4, "|i1": 1, "|u1": 1, "<i2": 2, "<u2": 2, "<i4": 4, "<u4": 4, "<i8": 8, "<u8": 8 };

const WIDE = 2 ** 31;
/** @type {[string, number, number][]} */
const TABLES = [
  ["position", -WIDE, WIDE], ["slope", 0, WIDE], ["scale", 1, WIDE], ["rotation", 1, WIDE], ["opacity", 1, WIDE],
  ["colour", 1, WIDE], ["sh", 1, WIDE], ["scale_offset", -65535, 65535], ["opacity_offset", -65535, 65535],
];
/** @type {Record<string, string[]>} */
const CODECS = {
  ordered: ["dtype"], quantised: ["step"], delta: [], "byte-planes": ["size", "components"], raw: [], planes: [],
  floats: [], zstd: [],
};
const CHAIN = /^(?:(ordered|quantised) (delta )?byte-planes (planes|raw)( zstd)?|floats)$/;

/**
 * @typedef {object} Splat parameters of the splat codec; tables have one entry for each class
 * @property {number[]} lattice corner and side of a cell
 * @property {Record<string, number[]>} tables
 * @property {string[]} attributes
 */
/**
 * @typedef {object} Column
 * @property {string} name
 * @property {boolean} attribute
 * @property {keyof typeof DTYPES} dtype
 * @property {number} components numbers in a row
 * @property {number[]} shape
 * @property {{id: string, dtype?: string, step?: number, size?: number}[]} pipeline
 */
/** @typedef {{degree: number, splat: Splat | null, sh: boolean, columns: Column[], sections: number[]}} Profile */

/**
 * @param {any} value
 * @param {number} sceneDegree
 * @param {string} what
 * @returns {Profile}
 */
export function parseProfile(value, sceneDegree, what) {
  const map = exactMap(value, ["sh_degree", "splat", "sh", "columns"], what);
  const degree = integer(map.get("sh_degree"), 0, sceneDegree, `${what}.sh_degree`);
  const splat = map.get("splat") === null ? null : parseSplat(map.get("splat"), `${what}.splat`);
  const sh = boolean(map.get("sh"), `${what}.sh`);
  check(!sh || (splat && degree > 0), `${what}.sh: needs splat and a degree above 0`);
  check(!splat || sh || splat.attributes.length > 0, `${what}.splat: nothing goes through it`);
  const columns = array(map.get("columns"), 0, 256, `${what}.columns`).map((column, i) =>
    parseColumn(column, degree, `${what}.columns[${i}]`),
  );
  const names = columns.map((column) => `${column.attribute} ${column.name}`);
  check(new Set(names).size === names.length, `${what}.columns: two columns of one name`);
  const own = columns.filter((column) => column.attribute).map((column) => column.name);
  const coded = [...(splat ? splat.attributes : []), ...(sh ? ["shN"] : []), ...own].sort();
  const wanted = ATTRIBUTES.slice(0, degree ? 6 : 5).sort();
  check(coded.join() === wanted.join(), `${what}: codes ${coded}, not each attribute once`);
  const sections = [splat !== null, sh, columns.length > 0].flatMap((there, kind) => (there ? [kind] : []));
  return { degree, splat, sh, columns, sections };
}

/** @param {any} value @param {string} what @returns {Splat} */
function parseSplat(value, what) {
  const map = exactMap(value, ["lattice", "attributes", ...TABLES.map(([name]) => name)], what);
  const given = array(map.get("lattice"), 4, 4, `${what}.lattice`);
  const lattice = given.map((x, k) => real(x, k < 3 ? -1e30 : 1e-30, 1e30, `${what}.lattice`));
  /** @type {Record<string, number[]>} */
  const tables = {};
  for (const [name, low, high] of TABLES) {
    tables[name] = array(map.get(name), 8, 8, `${what}.${name}`).map((x) => integer(x, low, high, `${what}.${name}`));
  }
  const attributes = array(map.get("attributes"), 0, 5, `${what}.attributes`);
  const ordered = ATTRIBUTES.slice(0, 5).filter((name) => attributes.includes(name));
  check(attributes.join() === ordered.join(), `${what}.attributes: unknown or out of order`);
  return { lattice, tables, attributes };
}

/** @param {string} name @param {number} degree */
function attributeShape(name, degree) {
  if (name === "shN") return [COEFFICIENTS[degree], 3];
  return { means: [3], scales: [3], quats: [4], opacities: [], sh0: [1, 3] }[name] ?? [];
}

/** @param {any} value @param {number} degree @param {string} what @returns {Column} */
function parseColumn(value, degree, what) {
  const map = exactMap(value, ["name", "attribute", "dtype", "shape", "pipeline"], what);
  const [name, dtype] = [map.get("name"), map.get("dtype")];
  const named = typeof name === "string" && [...name].length >= 1 && [...name].length <= 256;
  check(named, `${what}.name: not a string of 1 to 256 characters`);
  const attribute = boolean(map.get("attribute"), `${what}.attribute`);
  check(Object.hasOwn(DTYPES, String(dtype)), `${what}.dtype: ${dtype} is not allowed`);
  const shape = array(map.get("shape"), 0, 2, `${what}.shape`).map((x) => integer(x, 1, 256, `${what}.shape`));
  if (attribute) {
    check(ATTRIBUTES.includes(name), `${what}: ${name} is no attribute`);
    const fits = dtype === "<f4" && shape.join() === attributeShape(name, degree).join();
    check(fits, `${what}: wrong type for ${name}`);
  } else {
    check(shape.length <= 1, `${what}: an extra column with rows of two dimensions`);
  }
  const components = shape.reduce((product, x) => product * x, 1);
  check(components <= 256, `${what}: rows of ${components} numbers, expected at most 256`);
  const codecs = array(map.get("pipeline"), 1, 8, `${what}.pipeline`).map((codec) => parseCodec(codec, what));
  checkPipeline(codecs, dtype, components, `${what}.pipeline`);
  return { name, attribute, dtype, components, shape, pipeline: codecs };
}

/** @param {any} value @param {string} what */
function parseCodec(value, what) {
  check(value instanceof Map && typeof value.get("id") === "string", `${what}.pipeline: a codec without an id`);
  const id = value.get("id");
  if (!Object.hasOwn(CODECS, id)) throw new SpkError("unsupported", `${what}.pipeline: unknown codec ${id}`);
  const map = exactMap(value, ["id", ...CODECS[id]], `${what}.pipeline`);
  const codec = { id, dtype: map.get("dtype"), size: map.get("size"), components: map.get("components"), step: 0 };
  if (id === "ordered") check(Object.hasOwn(DTYPES, String(codec.dtype)), `${what}.pipeline: dtype ${codec.dtype}`);
  if (id === "quantised") codec.step = real(map.get("step"), 1e-30, 1e30, `${what}.pipeline.step`);
  if (id === "byte-planes") {
    check([1, 2, 4, 8].includes(codec.size), `${what}.pipeline: size ${codec.size}`);
    integer(codec.components, 1, 256, `${what}.pipeline.components`);
  }
  return codec;
}

/** @param {any[]} codecs @param {keyof typeof DTYPES} dtype @param {number} components @param {string} what */
function checkPipeline(codecs, dtype, components, what) {
  const chain = codecs.map((codec) => codec.id).join(" ");
  check(CHAIN.test(chain), `${what}: ${chain} is not a chain that columns.md allows`);
  const [first] = codecs;
  if (first.id === "floats") {
    check(dtype === "<f4", `${what}: floats for ${dtype}`);
    return;
  }
  const planes = codecs.find((codec) => codec.id === "byte-planes");
  check(planes.components === components, `${what}: planes of ${planes.components} components, expected ${components}`);
  const from = first.id === "quantised" ? "<f4" : first.dtype;
  check(from === dtype, `${what}: gives ${from}, expected ${dtype}`);
  check(planes.size === DTYPES[dtype], `${what}: planes of ${planes.size} bytes for ${dtype}`);
}
