/** What loaders tell: scenes, chunks and troubles, decoded and handed on to the page. */

import { decodeChunk } from "../spk/chunk.js";
import { drawn } from "../spk/tree.js";
import { packGeometry, packSh } from "./pack.js";
import { stageOfBoxes, stageOfGaussians } from "./stage.js";

/** Chunks of a flat scene up to which the stage is taken from the Gaussians. */
const FEW = 8;

/**
 * @callback Post a message to the page
 * @param {{type: string} & Record<string, any>} message
 * @param {ArrayBuffer[]} [transfer]
 * @returns {void}
 */

/** Decodes what arrives, keeps account of what is drawn, and tells the page. */
export class Sink {
  /**
   * @param {Post} post
   * @param {number} budget Gaussians that may be loaded
   */
  constructor(post, budget) {
    this.post = post;
    this.budget = budget;
    /** @type {import("../stream/mirror.js").Mirror | null} */
    this.mirror = null;
    /** Chunks that the page has. @type {Set<number>} */
    this.ready = new Set();
    this.bytes = 0;
    this.gaussians = 0;
    this.broken = false;
    /** @type {{means: Float32Array, opacities: Float32Array, scales: Float32Array}[] | null} */
    this.samples = [];
  }

  /** The prefix is here. @param {import("../stream/mirror.js").Mirror} mirror */
  opened(mirror) {
    this.mirror = mirror;
    this.ready.clear();
    this.bytes = mirror.prefix.length;
    this.samples = [];
    this.gaussians = 0;
    const { n, degree, frame, flags, header } = mirror.scene;
    const boxes = mirror.scene.chunks ?? mirror.leaves;
    const facts = { n, degree, frame, antialiased: flags.includes("antialiased"), bytes: header.length };
    this.post({ type: "scene", ...facts, chunks: mirror.chunks.length, stage: stageOfBoxes(boxes) });
    this.progress("streaming");
  }

  /** A chunk that matches its hash. @param {number} item @param {Uint8Array} data */
  chunk(item, data) {
    const { mirror } = this;
    const chunk = mirror?.chunks[item];
    if (!mirror || !chunk) return;
    this.bytes += data.length;
    this.gaussians += chunk.count;
    try {
      const g = decodeChunk(data, chunk, mirror.scene);
      this.frame(item, g);
      const geometry = packGeometry(g);
      const sh = packSh(g, mirror.scene.degree);
      const { means } = g;
      const buffers = /** @type {ArrayBuffer[]} */ ([geometry.buffer, sh.buffer, means.buffer]);
      this.post({ type: "chunk", item, count: g.n, geometry, sh, means }, buffers);
      this.ready.add(item);
      this.post({ type: "shown", items: drawn(mirror.chunks, (i) => this.ready.has(i)) });
    } catch (error) {
      this.failed(error, false);
    }
    this.progress("streaming");
  }

  /**
   * Find where the scene is as soon as enough of it is here: all roots of levels of detail, or all of a small scene.
   *
   * @param {number} item
   * @param {import("../spk/chunk.js").Gaussians} g
   */
  frame(item, g) {
    const { mirror, samples } = this;
    const chunks = mirror?.chunks ?? [];
    const roots = chunks.filter((c) => c && c.parent < 0).length;
    if (!samples || !mirror || roots > FEW || chunks[item]?.parent !== -1) return;
    samples.push({ means: g.means.slice(), opacities: g.opacities, scales: g.scales });
    if (samples.length < roots) return;
    this.post({ type: "stage", stage: stageOfGaussians(samples) });
    this.samples = null;
  }

  /** Nothing is left for the view, or nothing that the budget allows. */
  idle() {
    const missing = (this.mirror?.chunks ?? []).filter((chunk, i) => chunk && !this.ready.has(i));
    const next = missing.reduce((most, chunk) => Math.max(most, chunk?.count ?? 0), 0);
    if (next > 0 && this.gaussians + next > this.budget) this.post({ type: "full", budget: this.budget });
    this.progress("idle");
  }

  /** The connection is lost, another is coming. */
  waiting() {
    this.progress("waiting");
  }

  /** Something cannot be had. @param {any} error @param {boolean} fatal whether nothing more will come */
  failed(error, fatal) {
    this.broken ||= fatal;
    const code = error?.code ?? (error?.name === "ProtocolError" ? "protocol" : "internal");
    this.post({ type: "failed", code: String(code), message: String(error?.message ?? error), fatal });
  }

  /** @param {"streaming" | "idle" | "waiting"} state */
  progress(state) {
    if (this.broken) return;
    const { bytes, ready, mirror } = this;
    const complete = mirror !== null && ready.size === mirror.chunks.length;
    this.post({ type: "progress", bytes, have: ready.size, state: complete ? "idle" : state, complete });
  }
}
