/** Where the bytes of a file are when no server decides what comes: in memory, or behind HTTP ranges. */

import { SpkError } from "../spk/errors.js";
import { HEADER_SIZE, parseHeader } from "../spk/header.js";

const FIRST_READ = 65536;
const TRIES = 4;

/** The bytes cannot be had; `code` is `network`. */
class SourceError extends Error {
  /** @param {string} message */
  constructor(message) {
    super(message);
    this.name = "SourceError";
    this.code = "network";
  }
}

/** A file in memory. */
export class BytesSource {
  /** @param {Uint8Array} data */
  constructor(data) {
    this.data = data;
    this.parallel = 1;
  }

  async prefix() {
    return this.data.subarray(0, parseHeader(this.data.subarray(0, HEADER_SIZE)).prefix);
  }

  /** @param {number} offset @param {number} length */
  async read(offset, length) {
    await new Promise((resolve) => setTimeout(resolve)); // lets a new view in
    return this.data.subarray(offset, offset + length);
  }
}

/** A file behind HTTP ranges; a server that ignores them is read once, from the beginning to the end. */
export class HttpSource {
  /**
   * @param {string} url
   * @param {typeof fetch} get
   * @param {(seconds: number) => Promise<void>} pause
   */
  constructor(url, get, pause) {
    this.url = url;
    this.get = get;
    this.pause = pause;
    this.parallel = 6;
    /** @type {string | null} */
    this.etag = null;
    this.length = Infinity;
    /** @type {Uint8Array} what is here from the beginning of the file */
    this.start = new Uint8Array(0);
  }

  async prefix() {
    this.start = await this.request(0, FIRST_READ);
    const header = parseHeader(this.start);
    if (this.length !== Infinity && this.length !== header.length) {
      throw new SpkError("corrupt", `the file has ${this.length} bytes, its header says ${header.length}`);
    }
    return this.read(0, header.prefix);
  }

  /** @param {number} offset @param {number} length */
  async read(offset, length) {
    if (offset + length <= this.start.length) return this.start.subarray(offset, offset + length);
    if (offset < this.start.length) {
      const rest = await this.request(this.start.length, offset + length - this.start.length);
      const joined = new Uint8Array(length);
      joined.set(this.start.subarray(offset));
      joined.set(rest, this.start.length - offset);
      return joined;
    }
    return this.request(offset, length);
  }

  /** @param {number} offset @param {number} length @returns {Promise<Uint8Array>} */
  async request(offset, length) {
    for (let tried = 1; ; tried++) {
      try {
        return await this.once(offset, length);
      } catch (error) {
        if (!(error instanceof TypeError) || tried === TRIES) throw this.explained(error);
        await this.pause(0.25 * 2 ** tried * (0.5 + 0.5 * Math.random()));
      }
    }
  }

  /** One request; a TypeError is worth another try. @param {number} offset @param {number} length */
  async once(offset, length) {
    /** @type {Record<string, string>} */
    const headers = { Range: `bytes=${offset}-${offset + length - 1}` };
    if (this.etag) headers["If-Range"] = this.etag;
    const response = await this.get(this.url, { headers });
    if (response.status >= 500 || response.status === 429) throw new TypeError(`HTTP status ${response.status}`);
    if (response.status !== 206 && response.status !== 200) {
      throw new SourceError(`${this.url}: HTTP status ${response.status}, expected the file`);
    }
    if (response.status === 200 && offset > 0) {
      throw new SourceError(`${this.url}: the file changed while it was read. Reload the page.`);
    }
    const etag = response.headers.get("ETag");
    if (etag && !etag.startsWith("W/")) this.etag ??= etag;
    const total = /\/(\d+)$/.exec(response.headers.get("Content-Range") ?? "");
    if (total) this.length = Number(total[1]);
    const bytes = new Uint8Array(await response.arrayBuffer());
    if (response.status === 200) this.start = bytes;
    const wanted = Math.min(length, Math.max(0, this.length - offset));
    if (response.status === 206 && total && bytes.length !== wanted) {
      throw new TypeError(`${bytes.length} bytes, expected ${wanted}`);
    }
    return bytes;
  }

  /** @param {unknown} error */
  explained(error) {
    if (!(error instanceof TypeError)) return error;
    const ask = "Is the server there, and does it allow this page?";
    return new SourceError(`${this.url}: cannot be read (${error.message}). ${ask}`);
  }
}
