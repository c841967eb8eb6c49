/** The protocol and the priority function against the vectors of spec/protocol, and the session step by step. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { inflateSync } from "node:zlib";

import { fromHex } from "../../splatpack/server/web/spk/bytes.js";
import { parseHeader } from "../../splatpack/server/web/spk/header.js";
import { hash16 } from "../../splatpack/server/web/spk/sha256.js";
import { Mirror } from "../../splatpack/server/web/stream/mirror.js";
import { nearOf, rowOf, scorer, scores } from "../../splatpack/server/web/stream/priority.js";
import { Scheduler } from "../../splatpack/server/web/stream/scheduler.js";
import { ClientSession } from "../../splatpack/server/web/stream/session.js";
import { PAGE, PREFIX, ProtocolError, decode, encode } from "../../splatpack/server/web/stream/wire.js";
import { spec, tables } from "./spec.js";

const json = (/** @type {string} */ path) => JSON.parse(new TextDecoder().decode(spec(path)));
const MESSAGES = json("protocol/messages.json");

/** What a vector's value is in JavaScript. */
const meant = (/** @type {any} */ value) => (value?.hex === undefined ? value : fromHex(value.hex));

for (const { hex, kind, body } of MESSAGES.good) {
  test(`message ${kind} ${hex.slice(0, 12)} is read and written back`, () => {
    const message = /** @type {any} */ (decode(fromHex(hex)));
    assert.equal(message.kind, kind);
    for (const [name, value] of Object.entries(body)) {
      if (name in message) assert.deepEqual(message[name], meant(value), name);
    }
    const { kind: _, ...rest } = message;
    assert.deepEqual(decode(encode(rest)), message);
  });
}

for (const { hex, why, close } of MESSAGES.bad) {
  test(`message refused: ${why}`, () => {
    assert.throws(() => decode(fromHex(hex)), (/** @type {any} */ e) => e instanceof ProtocolError && e.close === close);
  });
}

test("an extension is ignored", () => {
  assert.equal(decode(fromHex(MESSAGES.ignored[0].hex)), null);
});

json("protocol/priority.json").forEach((/** @type {any} */ vector, /** @type {number} */ i) => {
  test(`priority vector ${i}, ${vector.chunks.length} chunks`, () => {
    const close = (/** @type {number} */ a, /** @type {number} */ b) => a === b || Math.abs(a - b) <= 1e-9 * Math.abs(b);
    const near = nearOf(vector.chunks);
    assert.ok(close(near, vector.near));
    const { score, pixels } = scorer(vector.view, near, vector.ahead);
    const found = scores(new Map(vector.chunks.map((/** @type {any} */ c, /** @type {number} */ k) => [k, rowOf(c)])), score);
    vector.chunks.forEach((/** @type {any} */ chunk, /** @type {number} */ k) => {
      assert.ok(close(Number(found.get(k)), vector.scores[k]), `score ${k}`);
      assert.ok(close(pixels(rowOf(chunk)), vector.pixels[k] ?? Infinity), `pixels ${k}`);
    });
    const scheduler = new Scheduler(near);
    scheduler.add(0, vector.chunks);
    scheduler.look(vector.view, vector.ahead);
    const order = [];
    for (let next = scheduler.next(); next !== null; next = scheduler.next()) order.push(next);
    assert.deepEqual(order, vector.order);
  });
});

/** A server's messages for a file. */
class Server {
  /** @param {Uint8Array} file */
  constructor(file) {
    this.file = file;
    const { prefix } = parseHeader(file);
    this.mirror = new Mirror(file.subarray(0, prefix), tables);
    const { header } = this.mirror.scene;
    this.manifest = {
      type: "manifest", sid: 0, id: this.mirror.id, root: header.root.hash, length: header.length, prefix,
      chunks: this.mirror.chunks.length, pages: this.mirror.leaves.length,
    };
  }

  /**
   * The fragments of an item.
   *
   * @param {number} item
   * @param {number} [size]
   * @param {(b: Uint8Array) => Uint8Array} [change]
   */
  item(item, size = 1000, change = (bytes) => bytes) {
    if (item >= PAGE && item !== PREFIX) this.mirror.accept(item, this.bytes(item));
    const bytes = change(this.bytes(item));
    const out = [];
    for (let at = 0; at < bytes.length; at += size) {
      const part = bytes.subarray(at, at + size);
      const head = new DataView(new ArrayBuffer(20));
      head.setUint8(0, 10);
      head.setUint8(1, (at === 0 ? 1 : 0) | (at + part.length === bytes.length ? 2 : 0));
      head.setUint32(4, item, true);
      head.setUint32(8, bytes.length, true);
      head.setUint32(12, at, true);
      out.push(Uint8Array.from([...new Uint8Array(head.buffer), ...part]));
    }
    return out;
  }

  /** @param {number} item */
  bytes(item) {
    const { offset, length } = this.mirror.range(item);
    return this.file.slice(offset, offset + length);
  }
}

const WELCOME = encode({ type: "welcome", version: 1 });

/**
 * A session that got messages; returns it and the events.
 *
 * @param {Uint8Array[]} messages
 * @param {Mirror | null} [mirror]
 */
function talk(messages, mirror = null) {
  const session = new ClientSession(() => 0, tables, "fox", mirror);
  return { session, events: messages.flatMap((message) => session.receive(message)) };
}

test("a scene comes, page by page and chunk by chunk", () => {
  const server = new Server(spec("vectors/good/paged.spk"));
  const start = [WELCOME, encode(server.manifest), ...server.item(PREFIX, 60000)];
  const { session, events } = talk([...start, ...server.item(PAGE, 60000), ...server.item(0), ...server.item(1)]);
  assert.deepEqual(events.map((e) => [e.type, e.item]), [["opened", undefined], ["received", PAGE], ["received", 0], ["received", 1]]);
  assert.equal(session.mirror?.held, 2);
  const [hello, open] = session.dataToSend().map((bytes) => /** @type {any} */ (decode(bytes)));
  assert.deepEqual([hello.type, hello.credit, open.type, open.scene, open.id], ["hello", 262144, "open", "fox", undefined]);
});

test("a damaged chunk is asked for three times, then given up", () => {
  const server = new Server(spec("vectors/good/chunks.spk"));
  const flip = (/** @type {Uint8Array} */ bytes) => bytes.map((b, i) => (i === 9 ? b ^ 1 : b));
  const { session } = talk([WELCOME, encode(server.manifest), ...server.item(PREFIX)]);
  session.dataToSend();
  const tries = [1, 2, 3, 4].map(() => {
    const events = server.item(0, 65000, flip).flatMap((message) => session.receive(message));
    return [events.map((e) => e.type).join(), session.dataToSend().map((m) => decode(m)?.type).filter((t) => t === "want").length];
  });
  assert.deepEqual(tries, [["", 1], ["", 1], ["", 1], ["failed", 0]]);
  assert.equal(session.mirror?.held, 0);
});

test("a session goes on where another ended", () => {
  const server = new Server(spec("vectors/good/paged.spk"));
  const first = talk([WELCOME, encode(server.manifest), ...server.item(PREFIX), ...server.item(PAGE), ...server.item(3)]).session;
  const { session, events } = talk([WELCOME, encode(server.manifest)], first.mirror);
  assert.deepEqual(events.map((e) => [e.type, e.resumed]), [["opened", true]]);
  const open = /** @type {any} */ (session.dataToSend().map((m) => decode(m)).find((m) => m?.type === "open"));
  assert.deepEqual(open.id, hash16(server.file.subarray(0, 128)));
  const bits = inflateSync(open.have);
  const { chunks, leaves } = server.mirror;
  assert.equal(bits.length, (chunks.length + leaves.length + 7) >> 3);
  const set = [...Array(8 * bits.length).keys()].filter((i) => (bits[i >> 3] >> (i & 7)) & 1);
  assert.deepEqual(set, [3, chunks.length]);
});

const SERVER = new Server(spec("vectors/good/chunks.spk"));
const START = [WELCOME, encode(SERVER.manifest), ...SERVER.item(PREFIX)];
/** @type {[string, Uint8Array[], number][]} */
const BROKEN = [
  ["anything before WELCOME", [encode(SERVER.manifest)], 4400],
  ["WELCOME twice", [WELCOME, WELCOME], 4400],
  ["MANIFEST twice", [WELCOME, encode(SERVER.manifest), encode(SERVER.manifest)], 4400],
  ["CHUNK before MANIFEST", [WELCOME, ...SERVER.item(PREFIX)], 4400],
  ["a chunk before the prefix", [WELCOME, encode(SERVER.manifest), ...SERVER.item(0)], 4400],
  ["a fragment of an item that did not begin", [...START, SERVER.item(0)[1]], 4400],
  ["a fragment left out", [...START, SERVER.item(0, 100)[0], SERVER.item(0, 100)[2]], 4400],
  ["an item inside another", [...START, SERVER.item(0)[0], SERVER.item(1)[0]], 4400],
  ["a length that is not the directory's", [...START, ...SERVER.item(0, 65000, (b) => b.subarray(1))], 4400],
  ["a message that clients send", [...START, encode({ type: "want", sid: 0 })], 4400],
  ["a manifest of another scene", [WELCOME, encode({ ...SERVER.manifest, chunks: 1 }), ...SERVER.item(PREFIX)], 4400],
];
for (const [why, messages, close] of BROKEN) {
  test(`the session closes: ${why}`, () => {
    assert.throws(() => talk(messages), (/** @type {any} */ e) => e instanceof ProtocolError && e.close === close);
  });
}

test("more bytes than were granted close the session", () => {
  const { session } = talk(START);
  session.window.granted = session.window.received;
  const sent = () => session.receive(SERVER.item(0)[0]);
  assert.throws(sent, (/** @type {any} */ e) => e instanceof ProtocolError && e.close === 4413);
});

test("credit is granted when a quarter of the window is used", () => {
  const session = new ClientSession(() => 0, tables, "");
  assert.equal(session.window.arrived(65535, 0), null);
  assert.equal(session.window.arrived(1, 0), 65536 + 262144);
});
