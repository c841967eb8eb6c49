/** What a client knows of a scene: the checked prefix and pages, and which chunks it has. */

import { Budget } from "../spk/bytes.js";
import { checkChunk } from "../spk/chunk.js";
import { check } from "../spk/errors.js";
import { HEADER_SIZE, checkPart } from "../spk/header.js";
import { leafChunks } from "../spk/pages.js";
import { checkChunks, parsePrefix, rowBytes } from "../spk/scene.js";
import { hash16 } from "../spk/sha256.js";
import { checkTree } from "../spk/tree.js";
import { PAGE, PREFIX } from "./wire.js";

/** A scene as far as it has arrived. Everything in it was checked against the file's own hashes. */
export class Mirror {
  /**
   * @param {Uint8Array} prefix
   * @param {import("../spk/scene.js").Tables} tables
   */
  constructor(prefix, tables) {
    this.prefix = prefix;
    this.scene = parsePrefix(prefix, tables);
    new Budget(this.scene.header.length).spend(this.scene.n * rowBytes(this.scene));
    this.id = hash16(prefix.subarray(0, HEADER_SIZE));
    const { chunks, leaves } = this.scene;
    this.leaves = leaves;
    /** Number of the first chunk of each page. */
    this.first = leaves.map((_, i) => leaves.slice(0, i).reduce((sum, leaf) => sum + leaf.chunks, 0));
    const count = chunks ? chunks.length : leaves.reduce((sum, leaf) => sum + leaf.chunks, 0);
    /** @type {(import("../spk/pages.js").Chunk | undefined)[]} */
    this.chunks = chunks ?? new Array(count).fill(undefined);
    this.have = new Uint8Array(count);
    this.havePages = new Uint8Array(leaves.length);
  }

  /** Chunks that are here. */
  get held() {
    return this.have.reduce((sum, x) => sum + x, 0);
  }

  get complete() {
    return this.have.every((x) => x === 1);
  }

  /**
   * Bytes of an item.
   *
   * @param {number} item
   */
  length(item) {
    return this.range(item).length;
  }

  /** Where an item lies in the file. @param {number} item @returns {{offset: number, length: number}} */
  range(item) {
    if (item === PREFIX) return { offset: 0, length: this.prefix.length };
    if (item >= PAGE) {
      check(item - PAGE < this.leaves.length, `page ${item - PAGE}, expected below ${this.leaves.length}`);
      return this.leaves[item - PAGE];
    }
    check(item < this.have.length, `chunk ${item}, expected below ${this.have.length}`);
    check(this.chunks[item], `chunk ${item} came before its directory page`);
    return /** @type {import("../spk/pages.js").Chunk} */ (this.chunks[item]);
  }

  /**
   * Check a page or a chunk and note that it is here; its bytes are not kept.
   *
   * @param {number} item
   * @param {Uint8Array} data
   */
  accept(item, data) {
    if (item < PAGE) {
      checkChunk(data, /** @type {import("../spk/pages.js").Chunk} */ (this.range(item)));
      this.have[item] = 1;
      return;
    }
    const page = item - PAGE;
    const what = `leaf page ${page}`;
    this.range(item);
    checkPart(data, this.leaves[page], what);
    const found = leafChunks(data, this.leaves[page], this.scene.header.required, what);
    checkChunks(found, this.scene.profiles);
    found.forEach((chunk, i) => (this.chunks[this.first[page] + i] = chunk));
    checkTree(this.chunks);
    this.havePages[page] = 1;
  }

  /** What OPEN sends to go on from here (protocol.md, section 6.3). */
  haveSet() {
    const flags = [...this.have, ...this.havePages];
    const bits = new Uint8Array((flags.length + 7) >> 3);
    flags.forEach((flag, i) => (bits[i >> 3] |= flag << (i & 7)));
    return store(bits);
  }
}

/** A zlib stream (RFC 1950) of stored blocks: have-sets are small. @param {Uint8Array} data */
function store(data) {
  const out = [0x78, 0x01];
  let a = 1;
  let b = 0;
  for (let at = 0; at < data.length; at += 65535) {
    const block = data.subarray(at, at + 65535);
    const n = block.length;
    out.push(at + n === data.length ? 1 : 0, n & 255, n >> 8, ~n & 255, (~n >> 8) & 255);
    for (const byte of block) {
      out.push(byte);
      a = (a + byte) % 65521;
      b = (b + a) % 65521;
    }
  }
  return Uint8Array.from([...out, b >> 8, b & 255, a >> 8, a & 255]);
}
