/** The client's end of `splatpack.v1` without sockets: messages in, events out, bytes to send, the clock injected. */

import { same } from "../spk/bytes.js";
import { SpkError } from "../spk/errors.js";
import { Mirror } from "./mirror.js";
import { Window } from "./window.js";
import { ABORTED, FIRST, FRAGMENT_HEADER, FRAGMENT_MAX, LAST, PAGE, PREFIX, VERSION } from "./wire.js";
import { ProtocolError, decode, encode } from "./wire.js";

const RETRIES = 3;
const PING_EVERY = 2;
const PING_FIRST = 0.2;
const ITEM_MAX = 64 * 2 ** 20;

/**
 * @typedef {object} Event
 * @property {"opened" | "received" | "idle" | "failed"} type
 * @property {Mirror} [mirror] opened: the scene
 * @property {boolean} [resumed] opened: on top of what another connection got
 * @property {number} [item] received, failed
 * @property {Uint8Array} [data] received: a page or a chunk that matches its hash
 * @property {number} [seq] idle: the view for which nothing is left
 * @property {boolean} [fatal] failed: the whole stream, not one item
 * @property {string} [code] failed
 * @property {string} [message] failed
 */

/** One connection with one stream, seen from the client. */
export class ClientSession {
  /**
   * @param {() => number} clock seconds, monotonic
   * @param {import("../spk/scene.js").Tables} tables
   * @param {string} scene what OPEN names
   * @param {Mirror | null} mirror what another connection got
   */
  constructor(clock, tables, scene, mirror = null) {
    this.clock = clock;
    this.tables = tables;
    this.scene = scene;
    this.mirror = mirror;
    this.window = new Window();
    this.welcomed = false;
    /** @type {any} */
    this.manifest = null;
    /** @type {Map<number, number>} */
    this.retries = new Map();
    /** @type {{item: number, total: number, bytes: Uint8Array, got: number} | null} */
    this.underWay = null;
    this.pings = 0;
    this.nextPing = clock();
    /** @type {Uint8Array[]} */
    this.out = [];
    const speaks = { versions: [VERSION], client: "splatpack-web", max_fragment: FRAGMENT_MAX };
    this.send({ type: "hello", credit: this.window.granted, ...speaks });
    this.send({ type: "open", sid: 0, scene, id: mirror?.id, have: mirror?.haveSet() });
  }

  /** Queue a message. @param {{type: string} & Record<string, any>} message */
  send(message) {
    this.out.push(encode(message));
  }

  /** The queued messages; a ping and measured figures are among them when they are due. */
  dataToSend() {
    const now = this.clock();
    if (this.welcomed && now >= this.nextPing) {
      this.send({ type: "ping", t: now });
      this.nextPing = now + (++this.pings < 3 ? PING_FIRST : PING_EVERY);
      if (this.window.goodput > 0) {
        this.send({ type: "stats", rtt: this.window.rtt ?? undefined, goodput: this.window.goodput });
      }
    }
    return this.out.splice(0);
  }

  /**
   * Take one message. Safe on untrusted input; throws a ProtocolError where the connection must be closed, an SpkError
   * where the scene cannot be read.
   *
   * @param {Uint8Array} data
   * @returns {Event[]}
   */
  receive(data) {
    const message = decode(data);
    if (message === null) return [];
    if (message.type === "error") return this.failed(message);
    if ((message.type === "welcome") === this.welcomed) {
      throw new ProtocolError(`${message.type}: expected WELCOME first and once`);
    }
    switch (message.type) {
      case "welcome":
        this.welcomed = true;
        return [];
      case "manifest":
        return this.opened(message);
      case "chunk":
        return this.fragment(message);
      case "idle":
        return [{ type: "idle", seq: message.seq }];
      case "ping":
        this.send({ type: "pong", t: message.t });
        return [];
      case "pong":
        this.window.measured(Math.max(0, this.clock() - message.t));
        return [];
      case "stats":
        return [];
      default:
        throw new ProtocolError(`${message.type} from a server`);
    }
  }

  /** @param {any} message @returns {Event[]} */
  failed({ code, message, fatal, item }) {
    if (!fatal && item !== undefined && item < PAGE) return this.again(item, code, message);
    return [{ type: "failed", fatal: true, code, message }];
  }

  /**
   * Ask for a chunk again, or give it up.
   *
   * @param {number} item
   * @param {string} code
   * @param {string} message
   * @returns {Event[]}
   */
  again(item, code, message) {
    const tries = (this.retries.get(item) ?? 0) + 1;
    this.retries.set(item, tries);
    if (tries > RETRIES) return [{ type: "failed", fatal: false, item, code, message }];
    this.send({ type: "want", sid: 0, ids: [item] });
    return [];
  }

  /** @param {any} manifest @returns {Event[]} */
  opened(manifest) {
    if (manifest.sid !== 0 || this.manifest) throw new ProtocolError("MANIFEST for a stream that waits for none");
    this.manifest = manifest;
    const { mirror } = this;
    if (mirror && same(mirror.id, manifest.id)) return [{ type: "opened", mirror, resumed: true }];
    this.mirror = null;
    return [];
  }

  /** @param {any} f @returns {Event[]} */
  fragment(f) {
    const granted = this.window.granted;
    const size = f.flags & ABORTED ? 0 : FRAGMENT_HEADER + f.data.length;
    const limit = this.window.arrived(size, this.clock());
    if (limit !== null) this.send({ type: "credit", limit });
    if (this.window.received > granted) {
      throw new ProtocolError(`${this.window.received} CHUNK bytes, ${granted} were granted`, 4413);
    }
    if (f.flags & FIRST) this.begin(f);
    const item = this.underWay;
    if (f.sid !== 0 || !item || item.item !== f.item || item.total !== f.total || item.got !== f.offset) {
      throw new ProtocolError(`CHUNK: a fragment of item ${f.item} at ${f.offset}, which is not the next one`);
    }
    item.bytes.set(f.data, f.offset);
    item.got += f.data.length;
    if (f.flags & (LAST | ABORTED)) this.underWay = null;
    return f.flags & LAST ? this.item(f.item, item.bytes) : [];
  }

  /** @param {any} f the first fragment of an item */
  begin(f) {
    if (this.underWay) throw new ProtocolError(`CHUNK: item ${f.item} begins inside item ${this.underWay.item}`);
    if (!this.manifest) throw new ProtocolError("CHUNK before MANIFEST");
    let want = this.manifest.prefix;
    if (f.item !== PREFIX) {
      try {
        if (!this.mirror) throw new ProtocolError("CHUNK before the prefix");
        want = this.mirror.length(f.item);
      } catch (error) {
        throw error instanceof SpkError ? new ProtocolError(error.message) : error;
      }
    }
    if (f.total !== want || want > ITEM_MAX) {
      throw new ProtocolError(`CHUNK: item ${f.item} of ${f.total} bytes, expected ${want}`);
    }
    this.underWay = { item: f.item, total: f.total, bytes: new Uint8Array(want), got: 0 };
  }

  /** @param {number} item @param {Uint8Array} data @returns {Event[]} */
  item(item, data) {
    if (item === PREFIX) return [{ type: "opened", mirror: this.prefix(data), resumed: false }];
    const mirror = /** @type {Mirror} */ (this.mirror);
    const known = item < PAGE && mirror.have[item] === 1;
    try {
      mirror.accept(item, data);
    } catch (error) {
      if (item >= PAGE || !(error instanceof SpkError)) throw error;
      return this.again(item, error.code, error.message);
    }
    this.retries.delete(item);
    return known ? [] : [{ type: "received", item, data }];
  }

  /** @param {Uint8Array} data */
  prefix(data) {
    const mirror = new Mirror(data, this.tables);
    const { header } = mirror.scene;
    const m = this.manifest;
    const agree = same(mirror.id, m.id) && same(header.root.hash, m.root) && header.length === m.length;
    if (!agree || mirror.chunks.length !== m.chunks || mirror.leaves.length !== m.pages) {
      throw new ProtocolError(`scene ${this.scene}: its prefix is not what MANIFEST says`);
    }
    this.mirror = mirror;
    return mirror;
  }
}
