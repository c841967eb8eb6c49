/** The worker that loads and decodes: it takes `open` and `view`, and tells what arrives. */

import { makeTables } from "../spk/scene.js";
import { RangeLoader } from "./ranges.js";
import { Sink } from "./sink.js";
import { SocketLoader } from "./socket.js";
import { BytesSource, HttpSource } from "./sources.js";

/**
 * @typedef {object} Open
 * @property {"open"} type
 * @property {{kind: "socket", url: string, scene: string, token: string} | {kind: "http", url: string}
 *   | {kind: "bytes", data: Uint8Array}} source
 * @property {Uint8Array} defaults `defaults.txt` of the specification
 * @property {Uint8Array} dictionary `metadata.dict`
 * @property {number} budget Gaussians that may be loaded
 */

/**
 * Serve the page.
 *
 * @param {{postMessage: Function, onmessage: any}} port the worker's global scope
 */
export function load(port) {
  /** @type {RangeLoader | SocketLoader | null} */
  let loader = null;
  port.onmessage = (/** @type {{data: any}} */ { data }) => {
    if (data.type === "view") loader?.look(data.view);
    if (data.type !== "open") return;
    const sink = new Sink((message, transfer = []) => port.postMessage(message, transfer), data.budget);
    try {
      loader = open(data, sink);
      loader.start();
    } catch (error) {
      sink.failed(error, true);
    }
  };
}

/** @param {Open} message @param {Sink} sink */
function open({ source, defaults, dictionary, budget }, sink) {
  const tables = makeTables(defaults, dictionary);
  if (source.kind === "socket") return new SocketLoader(source, tables, sink, budget);
  if (source.kind === "bytes") return new RangeLoader(new BytesSource(source.data), tables, sink, budget);
  const http = new HttpSource(source.url, (...request) => fetch(...request), pause);
  return new RangeLoader(http, tables, sink, budget);
}

/** @param {number} seconds @returns {Promise<void>} */
function pause(seconds) {
  return new Promise((done) => setTimeout(done, 1000 * seconds));
}
