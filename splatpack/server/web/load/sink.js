/** What loaders tell: scenes, chunks and troubles, decoded and handed on to the page. */

import { decodeChunk } from "../spk/chunk.js";
import { drawn } from "../spk/tree.js";
import { packGeometry, packSh } from "./pack.js";
import { sampleOf, stageOfBoxes, stageOfSamples } from "./stage.js";

/** Roots up to which the stage is taken from the Gaussians: then what is drawn soon covers the whole scene. */
const FEW = 8;
/** Gaussians that say well enough where the scene is. */
const ENOUGH = 100_000;

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
    /** @type {Map<number, import("./stage.js").Sample>} */
    this.samples = new Map();
    this.staged = 0;
  }

  /** The prefix is here. @param {import("../stream/mirror.js").Mirror} mirror */
  opened(mirror) {
    this.mirror = mirror;
    this.ready.clear();
    this.bytes = mirror.prefix.length;
    this.samples.clear();
    this.staged = 0;
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
      if (this.staged < ENOUGH) this.samples.set(item, sampleOf(g));
      const geometry = packGeometry(g);
      const sh = packSh(g, mirror.scene.degree);
      const { means } = g;
      const buffers = /** @type {ArrayBuffer[]} */ ([geometry.buffer, sh.buffer, means.buffer]);
      this.post({ type: "chunk", item, count: g.n, geometry, sh, means }, buffers);
      this.ready.add(item);
      const items = drawn(mirror.chunks, (i) => this.ready.has(i));
      this.post({ type: "shown", items });
      this.frame(items);
    } catch (error) {
      this.failed(error, false);
    }
    this.progress("streaming");
  }

  /**
   * Find where the scene is each time that twice as many Gaussians are drawn, while the roots cover all of it.
   *
   * @param {number[]} items what is drawn
   */
  frame(items) {
    const chunks = this.mirror?.chunks ?? [];
    const roots = [...chunks.keys()].filter((i) => (chunks[i]?.parent ?? -1) < 0);
    if (this.staged >= ENOUGH || roots.length > FEW || !roots.every((i) => this.ready.has(i))) return;
    const shown = items.reduce((sum, i) => sum + (chunks[i]?.count ?? 0), 0);
    if (shown < 2 * this.staged) return;
    this.staged = shown;
    const stage = stageOfSamples(items.flatMap((i) => this.samples.get(i) ?? []));
    if (stage) this.post({ type: "stage", stage });
    if (shown >= ENOUGH) this.samples.clear();
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
