/** Loading over a WebSocket: the server decides what comes next; lost connections are taken up again. */

import { ClientSession } from "../stream/session.js";
import { PAGE, ProtocolError, SUBPROTOCOL } from "../stream/wire.js";

/** @typedef {import("./sink.js").Sink} Sink */
/** @typedef {import("../stream/priority.js").View} View */

const BACKOFF_FIRST = 0.25;
const BACKOFF_MOST = 8;
const ATTEMPTS = 8;
const SILENCE = 10;
const TICK = 100;
/** Close codes after which a client comes back (protocol.md, section 9, and what browsers report of lost ones). */
const COME_BACK = new Set([1000, 1001, 1005, 1006, 1011, 1012, 1013, 1014, 4408, 4429]);
const REASONS = new Map([
  [4401, "the server asks for a token: add #token=TOKEN to the address"],
  [4404, "there is no scene of that name"],
  [4409, "the server speaks another version of the protocol"],
]);

/** A token as the second subprotocol that browsers offer. @param {string} token */
function tokenProtocol(token) {
  const text = String.fromCharCode(...new TextEncoder().encode(token));
  return `auth.${btoa(text).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "")}`;
}

/** A scene that a splatpack server streams. */
export class SocketLoader {
  /**
   * @param {{url: string, scene: string, token: string}} where
   * @param {import("../spk/scene.js").Tables} tables
   * @param {Sink} sink
   * @param {number} budget Gaussians that may be loaded
   */
  constructor(where, tables, sink, budget) {
    this.where = where;
    this.tables = tables;
    this.sink = sink;
    this.budget = budget;
    /** @type {ClientSession | null} */
    this.session = null;
    /** @type {WebSocket | null} */
    this.socket = null;
    /** @type {View | null} */
    this.view = null;
    this.seq = 0;
    this.fruitless = 0;
    this.closed = false;
    this.heard = 0;
    this.timer = setInterval(() => this.tick(), TICK);
  }

  async start() {
    const { url, scene, token } = this.where;
    const session = new ClientSession(() => performance.now() / 1000, this.tables, scene, this.session?.mirror ?? null);
    const protocols = token ? [SUBPROTOCOL, tokenProtocol(token)] : [SUBPROTOCOL];
    const socket = new WebSocket(url, protocols);
    socket.binaryType = "arraybuffer";
    this.session = session;
    this.socket = socket;
    this.heard = performance.now();
    socket.onopen = () => this.flush();
    socket.onmessage = ({ data }) => this.message(data);
    socket.onclose = ({ code, reason }) => {
      if (this.socket === socket) this.lost(code, reason);
    };
  }

  /** @param {string | ArrayBuffer} data */
  message(data) {
    if (!this.session || this.closed) return;
    this.heard = performance.now();
    try {
      if (typeof data === "string") throw new ProtocolError("a text message, expected binary ones", 1003);
      for (const event of this.session.receive(new Uint8Array(data))) this.act(event);
      this.flush();
    } catch (error) {
      this.end(error instanceof ProtocolError && error.close >= 3000 ? error.close : 1000);
      this.sink.failed(error, true);
    }
  }

  /** @param {import("../stream/session.js").Event} event */
  act(event) {
    if (event.type === "opened" && event.mirror) {
      this.fruitless = 0;
      if (!event.resumed || this.seq === 0) this.sink.opened(event.mirror);
      this.ask();
    } else if (event.type === "received" && event.data) {
      this.fruitless = 0;
      const item = Number(event.item);
      if (item < PAGE) this.sink.chunk(item, event.data);
    } else if (event.type === "idle" && event.seq === this.seq) {
      this.sink.idle();
    } else if (event.type === "failed") {
      const error = Object.assign(new Error(`the server says: ${event.message}`), { code: event.code });
      if (event.fatal) this.end(1000);
      this.sink.failed(error, !!event.fatal);
    }
  }

  /** Load for another view. @param {View} view */
  look(view) {
    this.view = view;
    if (this.session?.mirror) this.ask();
  }

  ask() {
    if (!this.view || !this.session) return;
    this.seq = (this.seq + 1) % 2 ** 32;
    const budget = Number.isFinite(this.budget) ? this.budget : undefined;
    this.session.send({ type: "view", sid: 0, seq: this.seq, ...this.view, budget_gaussians: budget });
    this.flush();
  }

  flush() {
    if (this.socket?.readyState !== 1) return;
    for (const message of this.session?.dataToSend() ?? []) this.socket.send(message);
  }

  /** Pings that are due, and a connection that has gone silent. */
  tick() {
    this.flush();
    if (performance.now() - this.heard > 1000 * SILENCE && this.socket) {
      const { socket } = this;
      this.socket = null;
      socket.close();
      this.lost(1006, "");
    }
  }

  /** Come back where that may help. @param {number} code @param {string} reason */
  lost(code, reason) {
    this.socket = null;
    if (this.closed) return;
    this.fruitless++;
    if (!COME_BACK.has(code) || this.fruitless > ATTEMPTS) {
      this.end(1000);
      const why = reason || REASONS.get(code) || (code === 1006 ? "it cannot be reached" : `code ${code}`);
      const error = new Error(`${this.where.url}: the connection closed: ${why}`);
      this.sink.failed(Object.assign(error, { code: "network" }), true);
      return;
    }
    this.sink.waiting();
    const pause = Math.min(BACKOFF_MOST, BACKOFF_FIRST * 2 ** (this.fruitless - 1)) * (0.5 + 0.5 * Math.random());
    this.heard = Infinity;
    setTimeout(() => this.closed || this.start(), 1000 * pause);
  }

  /** @param {number} code */
  end(code) {
    this.closed = true;
    clearInterval(this.timer);
    this.socket?.close(code);
    this.socket = null;
  }

  close() {
    this.end(1000);
  }
}
