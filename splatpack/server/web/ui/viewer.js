/** The viewer: a loader, a sorter and a renderer, and the camera that they share. */

import { Pose } from "../draw/camera.js";
import { Renderer } from "../draw/renderer.js";
import { ROW } from "../load/pack.js";
import { Controls } from "./controls.js";

const VIEW_EVERY = 100; // ms between views that are sent
const NEAR = 0.05;

/** @typedef {import("../draw/camera.js").Camera} Camera */
/**
 * @typedef {object} Options
 * @property {import("../load/worker.js").Open["source"]} source
 * @property {Uint8Array} defaults
 * @property {Uint8Array} dictionary
 * @property {{load: () => Worker, sort: () => Worker}} workers
 * @property {number} tau pixels of error that are good enough
 * @property {number} budget Gaussians that may be loaded
 * @property {number[]} background
 * @property {string} pose where to look, as `Pose.toText` writes it; empty: where the scene is
 */
/**
 * @callback Tell what happens, for people
 * @param {{type: string} & Record<string, any>} news
 * @returns {void}
 */

/** Shows one scene on one canvas. */
export class Viewer {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {Options} options
   * @param {Tell} tell
   */
  constructor(canvas, options, tell) {
    this.canvas = canvas;
    this.options = options;
    this.tell = tell;
    this.background = options.background;
    this.renderer = new Renderer(canvas);
    /** @type {Pose | null} */
    this.pose = null;
    /** @type {import("../load/stage.js").Stage | null} */
    this.stage = null;
    this.controls = new Controls(canvas, () => this.pose, () => this.render());
    /** Counts changes of what has to be sorted: the camera and what is shown. */
    this.turn = 0;
    this.sorting = 0;
    this.sorted = 0;
    this.lastAxis = "";
    this.lastView = "";
    this.viewSent = 0;
    this.drawing = 0;
    /** When the last frame was in which keys were held, ms; 0: none were. */
    this.then = 0;
    this.idle = false;
    this.loader = options.workers.load();
    this.sorter = options.workers.sort();
    this.loader.onmessage = ({ data }) => this.loaded(data);
    this.sorter.onmessage = ({ data }) => this.inOrder(data);
    for (const worker of [this.loader, this.sorter]) {
      worker.onerror = (event) => this.fail("internal", event.message || "a worker did not start");
    }
    canvas.addEventListener("webglcontextlost", (event) => {
      event.preventDefault();
      this.tell({ type: "context", lost: true });
    });
    canvas.addEventListener("webglcontextrestored", () => this.restored());
    new ResizeObserver(() => this.render()).observe(canvas);
  }

  /** Begin to load. */
  start() {
    const { source, defaults, dictionary, budget } = this.options;
    const most = ROW * this.renderer.mostRows;
    this.loader.postMessage({ type: "open", source, defaults, dictionary, budget: Math.min(budget, most) });
  }

  /** @param {any} message of the loader */
  loaded(message) {
    if (message.type === "scene") this.opened(message);
    else if (message.type === "chunk") this.chunk(message);
    else if (message.type === "shown") {
      this.sorter.postMessage(message);
      this.turn++;
      this.render();
    } else if (message.type === "stage") {
      this.stage = message.stage;
      if (!this.controls.touched && !this.options.pose) this.home();
    } else if (message.type === "progress") {
      this.idle = message.state === "idle";
      this.render();
    }
    this.tell(message);
  }

  /** @param {any} scene what the prefix says */
  opened(scene) {
    this.stage = scene.stage;
    if (!this.pose || !this.controls.touched) {
      this.pose = new Pose(scene.frame, scene.stage);
      if (this.options.pose) this.pose.fromText(this.options.pose);
    }
    const rows = Math.ceil(scene.n / ROW) + scene.chunks;
    this.renderer.open({ degree: scene.degree, antialiased: scene.antialiased, rows });
    this.sorter.postMessage({ type: "clear" });
    this.render();
  }

  /** @param {{item: number, geometry: Uint32Array, sh: Uint32Array, means: Float32Array}} message */
  chunk({ item, geometry, sh, means }) {
    const slot = this.renderer.add(item, geometry, sh);
    if (slot < 0) {
      this.tell({ type: "full" });
      return;
    }
    this.sorter.postMessage({ type: "chunk", item, slot, means }, [/** @type {ArrayBuffer} */ (means.buffer)]);
  }

  /** @param {{slots: Uint32Array, turn: number}} message of the sorter */
  inOrder({ slots, turn }) {
    this.sorting = 0;
    this.sorted = turn;
    this.renderer.setOrder(slots);
    this.tell({ type: "drawn", gaussians: slots.length });
    this.render();
  }

  home() {
    if (this.stage) this.pose?.home(this.stage);
    this.render();
  }

  /** Draw soon. */
  render() {
    if (!this.drawing) this.drawing = requestAnimationFrame((now) => this.frame(now));
  }

  /** @param {number} now ms */
  frame(now) {
    this.drawing = 0;
    const moving = this.controls.step(this.then ? Math.min(0.1, (now - this.then) / 1000) : 0);
    this.then = moving ? now : 0;
    this.resize();
    if (this.pose) {
      const camera = this.pose.camera(this.canvas.width, this.canvas.height);
      this.sort(camera);
      this.ask(camera, now);
      this.renderer.draw(camera, this.background);
      const settled = this.idle && this.sorted === this.turn && !this.sorting;
      this.tell({ type: "frame", camera, settled });
    }
    if (moving) this.render();
  }

  /** As many pixels as the screen has. */
  resize() {
    const { canvas } = this;
    const width = Math.max(1, Math.round(canvas.clientWidth * devicePixelRatio));
    const height = Math.max(1, Math.round(canvas.clientHeight * devicePixelRatio));
    if (canvas.width !== width) canvas.width = width;
    if (canvas.height !== height) canvas.height = height;
  }

  /** Near plane: that of the renderer of the library, or closer when the whole scene is tiny. */
  get near() {
    return Math.min(NEAR, 0.02 * (this.stage?.distance ?? 1));
  }

  /** Have the Gaussians sorted, when the depths have changed and the sorter is free. @param {Camera} camera */
  sort(camera) {
    const axis = camera.viewmat[2];
    const text = axis.join();
    if (text !== this.lastAxis) {
      this.lastAxis = text;
      this.turn++;
    }
    if (this.sorting || this.sorted === this.turn) return;
    this.sorting = this.turn;
    this.sorter.postMessage({ type: "sort", axis, near: this.near, turn: this.turn });
  }

  /** Tell the loader where the camera is, now and then. @param {Camera} camera @param {number} now ms */
  ask({ pos, quat, fov_y, width, height }, now) {
    const view = { pos, quat, fov_y, viewport: [width, height], tau: this.options.tau };
    const text = JSON.stringify(view);
    if (text === this.lastView) return;
    if (now - this.viewSent < VIEW_EVERY) {
      setTimeout(() => this.render(), VIEW_EVERY);
      return;
    }
    this.lastView = text;
    this.viewSent = now;
    this.idle = false;
    this.loader.postMessage({ type: "view", view });
  }

  restored() {
    this.renderer.restore();
    this.tell({ type: "context", lost: false });
    this.render();
  }

  /** @param {string} code @param {string} message */
  fail(code, message) {
    this.tell({ type: "failed", code, message, fatal: true });
  }
}
