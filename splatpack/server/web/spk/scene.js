/** What the prefix of a file says: header, metadata, tables (format.md, sections 3 and 4). */

import { Cursor } from "./bytes.js";
import { crc32 } from "./crc32.js";
import { check } from "./errors.js";
import { HEADER_SIZE, PACKED, checkPart, parseHeader } from "./header.js";
import { inflate } from "./inflate.js";
import { Defaults, parseSectionModel } from "./model.js";
import { unpack } from "./msgpack.js";
import { pageChunks, pageLeaves, parsePage } from "./pages.js";
import { DTYPES, parseProfile } from "./profiles.js";
import { checkTree } from "./tree.js";
import { array, integer } from "./values.js";

const FRAMES = ["rdf", "rub", "luf", "z_up", "unknown"];
const FLAGS = ["antialiased", "surfels"];
const RULES = { what: "metadata", deepest: 12, single: true };

/** @typedef {import("./profiles.js").Column} Column */
/** @typedef {import("./profiles.js").Profile} Profile */
/** @typedef {import("./model.js").Model} Model */
/**
 * What of the specification a decoder needs beside its code.
 *
 * @typedef {{defaults: Defaults, dictionary: Uint8Array}} Tables
 */

/**
 * @param {Uint8Array} defaults `defaults.txt`
 * @param {Uint8Array} dictionary `metadata.dict`
 * @returns {Tables}
 */
export function makeTables(defaults, dictionary) {
  if (crc32(dictionary) !== 0xf60003cb) throw new Error("metadata.dict is not that of the specification");
  return { defaults: new Defaults(defaults), dictionary };
}

/**
 * @typedef {object} Scene
 * @property {import("./header.js").Header} header
 * @property {number} n Gaussians of all chunks, drawn or not
 * @property {number} degree of the spherical harmonics
 * @property {string} frame
 * @property {string[]} flags
 * @property {Profile[]} profiles
 * @property {Map<string, Column>} extras extra columns by name
 * @property {{geometry: Model | null, sh: Model | null}[]} models by profile
 * @property {import("./pages.js").Chunk[] | null} chunks null where leaf pages list them
 * @property {import("./pages.js").Leaf[]} leaves
 */

/**
 * Read a prefix; every crc32 and hash of it is checked.
 *
 * @param {Uint8Array} prefix
 * @param {Tables} tables
 * @returns {Scene}
 */
export function parsePrefix(prefix, tables) {
  const header = parseHeader(prefix);
  check(prefix.length === header.prefix, `a prefix of ${prefix.length} bytes, its header says ${header.prefix}`);
  const cursor = new Cursor(prefix.subarray(HEADER_SIZE), "prefix");
  const parts = /** @type {const} */ (["root", "metadata", "tables"]);
  const [root, metadata, models] = parts.map((name) => {
    const bytes = cursor.take(header[name].length);
    checkPart(bytes, header[name], name === "root" ? "root page" : name);
    return bytes;
  });
  const directory = parseRoot(root, header);
  const scene = parseMetadata(header.required & PACKED ? inflate(metadata, tables.dictionary, 2 ** 20) : metadata);
  const parsed = parseModels(models, scene.profiles, header.required, tables.defaults);
  const count = (directory.chunks ?? directory.leaves).reduce((sum, entry) => sum + entry.count, 0);
  check(count === scene.n, `n: ${scene.n} Gaussians, the directory has ${count}`);
  checkChunks(directory.chunks ?? [], scene.profiles);
  return { header, ...scene, models: parsed, ...directory };
}

/** @param {Uint8Array} data @param {import("./header.js").Header} header */
function parseRoot(data, header) {
  const root = parsePage(data, header.required, "root page");
  check(root.entries > 0, "root page: empty");
  check(root.first === header.prefix, "root page: the data region begins elsewhere");
  const chunks = root.kind === 0 ? pageChunks(root, "root page") : null;
  const leaves = root.kind === 1 ? pageLeaves(root) : [];
  const end = (chunks ?? []).reduce((sum, c) => sum + c.length, 0) + leaves.reduce((sum, l) => sum + l.span, 0);
  check(header.prefix + end === header.length, "root page: its entries do not fill the file");
  if (chunks) checkTree(chunks);
  return { chunks, leaves };
}

/**
 * Hold chunks to the profiles that they name.
 *
 * @param {import("./pages.js").Chunk[]} chunks
 * @param {Profile[]} profiles
 */
export function checkChunks(chunks, profiles) {
  for (const chunk of chunks) {
    const profile = profiles[chunk.profile];
    check(profile !== undefined, `chunk at ${chunk.offset}: unknown profile ${chunk.profile}`);
    const kinds = chunk.sections.map((section) => section.kind).join();
    check(kinds === profile.sections.join(), `chunk at ${chunk.offset}: sections are not its profile's`);
  }
}

/** @param {Uint8Array} data */
function parseMetadata(data) {
  const map = unpack(data, RULES);
  for (const key of ["n", "sh_degree", "frame", "flags", "profiles", "source"]) {
    check(map.has(key), `metadata: ${key} is missing`);
  }
  const n = integer(map.get("n"), 1, Number.MAX_SAFE_INTEGER, "n");
  const degree = integer(map.get("sh_degree"), 0, 3, "sh_degree");
  const frame = map.get("frame");
  check(FRAMES.includes(frame), `frame: ${frame} is unknown`);
  const flags = array(map.get("flags"), 0, 2 ** 20, "flags");
  check(flags.every((flag) => FLAGS.includes(flag)), "flags: unknown");
  check(map.get("source") instanceof Map, "source: not a map");
  const given = array(map.get("profiles"), 1, 16, "profiles");
  const profiles = given.map((profile, i) => parseProfile(profile, degree, `profiles[${i}]`));
  return { n, degree, frame, flags, profiles, extras: extraColumns(profiles) };
}

/** The extra columns of all profiles; those of one name are alike. @param {Profile[]} profiles */
function extraColumns(profiles) {
  /** @type {Map<string, Column>} */
  const extras = new Map();
  for (const column of profiles.flatMap((p) => p.columns).filter((c) => !c.attribute)) {
    const first = extras.get(column.name) ?? column;
    extras.set(column.name, first);
    const alike = first.dtype === column.dtype && first.shape.join() === column.shape.join();
    check(alike, `column ${column.name}: differs in two profiles`);
  }
  return extras;
}

/** @param {Uint8Array} data @param {Profile[]} profiles @param {number} required @param {Defaults} defaults */
function parseModels(data, profiles, required, defaults) {
  const cursor = new Cursor(data, "tables");
  const models = profiles.map((profile) => ({
    geometry: profile.splat ? parseSectionModel(cursor.take(cursor.u32()), "geometry", required, defaults) : null,
    sh: profile.sh ? parseSectionModel(cursor.take(cursor.u32()), "sh", required, defaults) : null,
  }));
  cursor.end();
  return models;
}

/**
 * Bytes of one decoded Gaussian.
 *
 * @param {Scene} scene
 */
export function rowBytes(scene) {
  const extras = [...scene.extras.values()].reduce((sum, c) => sum + DTYPES[c.dtype] * c.components, 0);
  return 4 * (14 + 3 * [0, 3, 8, 15][scene.degree]) + extras;
}

