/** Loaders, with servers and sockets that are only played. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { RangeLoader } from "../../splatpack/server/web/load/ranges.js";
import { Sink } from "../../splatpack/server/web/load/sink.js";
import { SocketLoader } from "../../splatpack/server/web/load/socket.js";
import { BytesSource, HttpSource } from "../../splatpack/server/web/load/sources.js";
import { parseHeader } from "../../splatpack/server/web/spk/header.js";
import { PREFIX, decode, encode } from "../../splatpack/server/web/stream/wire.js";
import { Mirror } from "../../splatpack/server/web/stream/mirror.js";
import { spec, tables } from "./spec.js";

const VIEW = { pos: [0, 0, -5], quat: [1, 0, 0, 0], fov_y: 1, viewport: [640, 480], tau: 0 };

/** A sink, what it posted, and a promise of the first message that fits. */
function listen(budget = Infinity) {
  /** @type {any[]} */
  const posted = [];
  /** @type {{fits: (m: any) => boolean, done: (m: any) => void}[]} */
  const waiting = [];
  const sink = new Sink((message) => {
    posted.push(message);
    for (const { fits, done } of waiting) if (fits(message)) done(message);
  }, budget);
  const until = (/** @type {(m: any) => boolean} */ fits) => new Promise((done) => waiting.push({ fits, done }));
  const idle = until((m) => m.type === "progress" && m.state === "idle");
  return { sink, posted, idle, failed: until((m) => m.type === "failed") };
}

for (const name of ["chunks", "paged", "tree", "tree-paged", "tree-part", "levels"]) {
  test(`${name}.spk is loaded from memory, and what is drawn at the end is the scene`, async () => {
    const { sink, posted, idle } = listen();
    const loader = new RangeLoader(new BytesSource(spec(`vectors/good/${name}.spk`)), tables, sink, Infinity);
    loader.look(VIEW);
    loader.start();
    await idle;
    const { scene } = /** @type {Mirror} */ (loader.mirror);
    const chunks = posted.filter((m) => m.type === "chunk");
    assert.equal(chunks.reduce((sum, m) => sum + m.count, 0), scene.n);
    assert.deepEqual(posted.filter((m) => m.type === "failed"), []);
    const shown = posted.filter((m) => m.type === "shown").at(-1).items;
    const expected = name === "tree" ? [1, 3, 4, 5] : null;
    if (expected) assert.deepEqual(shown, expected);
    assert.equal(posted.at(-1).complete, true);
  });
}

test("successors take the place of a stand-in at the same moment", async () => {
  const { sink, posted, idle } = listen();
  const loader = new RangeLoader(new BytesSource(spec("vectors/good/tree.spk")), tables, sink, Infinity);
  loader.look(VIEW);
  loader.start();
  await idle;
  for (const { items } of posted.filter((m) => m.type === "shown")) {
    assert.ok(items.length > 0);
    assert.ok(!items.includes(0) || (!items.includes(1) && !items.includes(2)), `${items}`);
    assert.ok(!items.includes(2) || (!items.includes(3) && !items.includes(4)), `${items}`);
  }
});

test("a budget of Gaussians ends the loading, in words", async () => {
  const { sink, posted, idle } = listen(300);
  const loader = new RangeLoader(new BytesSource(spec("vectors/good/chunks.spk")), tables, sink, 300);
  loader.look(VIEW);
  loader.start();
  await idle;
  assert.ok(posted.filter((m) => m.type === "chunk").reduce((sum, m) => sum + m.count, 0) <= 300);
  assert.equal(posted.filter((m) => m.type === "full").length, 1);
});

test("a damaged chunk is told and left out", async () => {
  const file = spec("vectors/good/chunks.spk").slice();
  file[file.length - 5] ^= 1;
  const { sink, posted, idle } = listen();
  const loader = new RangeLoader(new BytesSource(file), tables, sink, Infinity);
  loader.look(VIEW);
  loader.start();
  await idle;
  const [trouble, ...more] = posted.filter((m) => m.type === "failed");
  assert.deepEqual([trouble.code, trouble.fatal, more.length], ["corrupt", false, 0]);
  const count = /** @type {Mirror} */ (loader.mirror).chunks.length;
  assert.equal(posted.filter((m) => m.type === "chunk").length, count - 1);
});

/**
 * A server of one file.
 *
 * @param {Uint8Array} file
 * @param {(n: number, headers: any) => Response | null} [odd] what it does instead
 */
function server(file, odd = () => null) {
  /** @type {any[]} */
  const asked = [];
  const get = async (/** @type {any} */ _url, /** @type {any} */ { headers }) => {
    asked.push(headers);
    const answer = odd(asked.length, headers);
    if (answer) return answer;
    const [, first, last] = /** @type {RegExpExecArray} */ (/bytes=(\d+)-(\d+)/.exec(headers.Range));
    const part = file.slice(Number(first), Number(last) + 1);
    const range = `bytes ${first}-${Number(first) + part.length - 1}/${file.length}`;
    return new Response(part, { status: 206, headers: { "Content-Range": range, ETag: '"one"' } });
  };
  return { get: /** @type {typeof fetch} */ (get), asked };
}

const soon = async () => {};

test("ranges: the first 64 KiB, then chunks of the same version", async () => {
  const file = spec("vectors/good/paged.spk");
  const { get, asked } = server(file);
  const { sink, posted, idle } = listen();
  const loader = new RangeLoader(new HttpSource("http://x/s.spk", get, soon), tables, sink, Infinity);
  loader.look(VIEW);
  loader.start();
  await idle;
  assert.equal(posted.at(-1).complete, true);
  assert.equal(asked[0].Range, "bytes=0-65535");
  assert.ok(asked.length > 1 && asked.slice(1).every((headers) => headers["If-Range"] === '"one"'));
});

test("ranges: a server that ignores them is read once", async () => {
  const file = spec("vectors/good/paged.spk");
  const { get, asked } = server(file, () => new Response(file, { status: 200 }));
  const { sink, posted, idle } = listen();
  const loader = new RangeLoader(new HttpSource("http://x/s.spk", get, soon), tables, sink, Infinity);
  loader.look(VIEW);
  loader.start();
  await idle;
  assert.deepEqual([posted.at(-1).complete, asked.length], [true, 1]);
});

test("ranges: what fails for a moment is asked for again", async () => {
  const file = spec("vectors/good/chunks.spk");
  const { get, asked } = server(file, (n) => (n < 3 ? new Response("", { status: 503 }) : null));
  const source = new HttpSource("http://x/s.spk", get, soon);
  assert.equal((await source.prefix()).length, parseHeader(file).prefix);
  assert.equal(asked.length, 3);
});

const SHORT = { status: 206, headers: { "Content-Range": "bytes 0-65535/9" } };
/** @type {[string, (n: number) => Response | null, string, RegExp][]} */
const ODD = [
  ["a file that is not there", () => new Response("", { status: 404 }), "network", /404/],
  ["a server that fails for good", () => new Response("", { status: 500 }), "network", /500/],
  ["another file", () => new Response("hello", { status: 206 }), "corrupt", /signature/],
  ["another length", () => new Response(spec("vectors/good/sh0.spk"), SHORT), "network", /expected 9/],
];
for (const [why, odd, code, words] of ODD) {
  test(`ranges: ${why}`, async () => {
    const { sink, failed } = listen();
    const { get } = server(new Uint8Array(0), odd);
    new RangeLoader(new HttpSource("http://x/s.spk", get, soon), tables, sink, Infinity).start();
    const trouble = await failed;
    assert.deepEqual([trouble.code, trouble.fatal], [code, true]);
    assert.match(trouble.message, words);
  });
}

test("ranges: a file that changes while it is read is not mixed", async () => {
  const changed = (/** @type {number} */ n) => (n > 1 ? new Response("new", { status: 200 }) : null);
  const source = new HttpSource("http://x/s.spk", server(spec("vectors/good/paged.spk"), changed).get, soon);
  await source.prefix();
  await assert.rejects(source.read(70000, 10), /changed/);
});

/** A socket whose other end is the test. */
class Played {
  /** @type {Played[]} */
  static all = [];

  /** @param {string} url @param {string[]} protocols */
  constructor(url, protocols) {
    this.url = url;
    this.protocols = protocols;
    this.readyState = 0;
    /** @type {any[]} */
    this.sent = [];
    /** @type {any} */
    this.closed = null;
    /** @type {any} */
    this.onopen = this.onmessage = this.onclose = null;
    Played.all.push(this);
  }

  send(/** @type {Uint8Array} */ data) {
    this.sent.push(decode(data));
  }

  close(/** @type {number} */ code) {
    this.closed = code;
    this.readyState = 3;
  }

  open() {
    this.readyState = 1;
    this.onopen();
  }

  say(/** @type {Uint8Array} */ data) {
    this.onmessage({ data: data.slice().buffer });
  }

  /** WELCOME, MANIFEST, and items in one fragment each. */
  serve(/** @type {Uint8Array} */ file, /** @type {number[]} */ items) {
    const { prefix, root, length } = parseHeader(file);
    const mirror = new Mirror(file.slice(0, prefix), tables);
    this.say(encode({ type: "welcome", version: 1 }));
    const counts = { chunks: mirror.chunks.length, pages: 0 };
    this.say(encode({ type: "manifest", sid: 0, id: mirror.id, root: root.hash, length, prefix, ...counts }));
    for (const item of items) {
      const range = mirror.range(item);
      const head = new DataView(new ArrayBuffer(20));
      head.setUint16(0, 0x0a03);
      head.setUint32(4, item, true);
      head.setUint32(8, range.length, true);
      const body = file.subarray(range.offset, range.offset + range.length);
      this.say(Uint8Array.from([...new Uint8Array(head.buffer), ...body]));
    }
  }
}

/** @param {import("node:test").TestContext} t @param {string} [token] */
function connect(t, token = "") {
  Played.all = [];
  const global_ = /** @type {any} */ (globalThis);
  const real = global_.WebSocket;
  global_.WebSocket = Played;
  t.mock.timers.enable({ apis: ["setTimeout", "setInterval"] });
  const heard = listen();
  const loader = new SocketLoader({ url: "ws://x/", scene: "fox", token }, tables, heard.sink, Infinity);
  t.after(() => {
    loader.close();
    global_.WebSocket = real;
  });
  loader.start();
  return { loader, ...heard, last: () => /** @type {Played} */ (Played.all.at(-1)) };
}

test("a socket: hello, open, a view, chunks, and then idle", (t) => {
  const file = spec("vectors/good/chunks.spk");
  const { loader, posted, last } = connect(t, "sécret");
  loader.look(VIEW);
  assert.deepEqual(last().protocols, ["splatpack.v1", "auth.c8OpY3JldA"]);
  last().open();
  last().serve(file, [PREFIX, 0]);
  const kinds = last().sent.map((m) => m.type).filter((type) => !["ping", "credit", "stats"].includes(type));
  assert.deepEqual(kinds, ["hello", "open", "view"]);
  assert.deepEqual(posted.map((m) => m.type).filter((type) => type !== "progress"), ["scene", "chunk", "shown"]);
  last().say(encode({ type: "idle", sid: 0, seq: 1 }));
  assert.equal(posted.at(-1).state, "idle");
});

test("a socket that is lost is taken up again with what is there", (t) => {
  const file = spec("vectors/good/chunks.spk");
  const { loader, posted, last } = connect(t);
  loader.look(VIEW);
  last().open();
  last().serve(file, [PREFIX, 0]);
  last().onclose({ code: 1012, reason: "the server restarts" });
  assert.equal(posted.at(-1).state, "waiting");
  t.mock.timers.tick(300);
  assert.equal(Played.all.length, 2);
  last().open();
  last().serve(file, [1]);
  const open = last().sent.find((m) => m.type === "open");
  assert.equal(open.have.length > 0 && open.id.length, 16);
  assert.deepEqual(posted.filter((m) => m.type === "chunk").map((m) => m.item), [0, 1]);
  assert.equal(posted.filter((m) => m.type === "scene").length, 1);
  assert.ok(last().sent.some((m) => m.type === "view" && m.seq === 2));
});

test("a socket that goes silent is given up and opened again", (t) => {
  const { last } = connect(t);
  last().open();
  t.mock.method(performance, "now", () => 1e9);
  t.mock.timers.tick(100);
  t.mock.timers.tick(300);
  assert.equal(Played.all.length, 2);
});

test("a server that cannot be reached is tried eight times", (t) => {
  const { posted, last } = connect(t);
  for (let i = 0; i < 9; i++) {
    last().onclose({ code: 1006, reason: "" });
    t.mock.timers.tick(8000);
  }
  assert.equal(Played.all.length, 9);
  assert.deepEqual([posted.at(-1).type, posted.at(-1).fatal], ["failed", true]);
  assert.match(posted.at(-1).message, /cannot be reached/);
});

test("a token that is missing is said, and nothing is tried again", (t) => {
  const { posted, last } = connect(t);
  last().onclose({ code: 4401, reason: "" });
  t.mock.timers.tick(60000);
  assert.equal(Played.all.length, 1);
  assert.match(posted.at(-1).message, /token/);
});

test("a server that breaks the protocol is left", (t) => {
  const { posted, last } = connect(t);
  last().open();
  last().say(Uint8Array.from([19, 128]));
  assert.deepEqual([last().closed, posted.at(-1).code, posted.at(-1).fatal], [4400, "protocol", true]);
});
