/** WebGL2: Gaussians in textures, a quad each, blended from back to front. */

import { ROW, SH_TEXELS } from "../load/pack.js";
import { COPY_FRAGMENT, COPY_VERTEX, FRAGMENT, VERTEX } from "./shaders.js";

/** @typedef {import("./camera.js").Camera} Camera */
/** @typedef {{item: number, rows: number, row: number, geometry: Uint32Array, sh: Uint32Array}} Block */

/** Draws one scene; everything that the context holds can be made again when it was lost. */
export class Renderer {
  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    const wish = { alpha: false, antialias: false, depth: false, powerPreference: "high-performance" };
    const gl = /** @type {WebGL2RenderingContext | null} */ (canvas.getContext("webgl2", wish));
    if (!gl) throw trouble("this browser has no WebGL 2, which the viewer draws with");
    this.canvas = canvas;
    this.gl = gl;
    /** @type {Block[]} kept, so that a lost context can be filled again */
    this.blocks = [];
    this.degree = 0;
    this.antialiased = false;
    this.rows = 0;
    this.used = 0;
    this.count = 0;
    /** @type {Uint32Array} */
    this.order = new Uint32Array(0);
    this.setUp();
  }

  /** Rows of 1,024 Gaussians that a texture can have. */
  get mostRows() {
    return this.gl.getParameter(this.gl.MAX_TEXTURE_SIZE);
  }

  /** Programs and buffers. */
  setUp() {
    const { gl } = this;
    this.format = gl.getExtension("EXT_color_buffer_float") ? gl.RGBA16F : gl.RGBA8;
    this.program = program(gl, VERTEX, FRAGMENT);
    this.copy = program(gl, COPY_VERTEX, COPY_FRAGMENT);
    this.array = gl.createVertexArray();
    this.buffer = gl.createBuffer();
    gl.bindVertexArray(this.array);
    gl.bindBuffer(gl.ARRAY_BUFFER, this.buffer);
    const slot = gl.getAttribLocation(this.program.handle, "a_slot");
    gl.enableVertexAttribArray(slot);
    gl.vertexAttribIPointer(slot, 1, gl.UNSIGNED_INT, 0, 0);
    gl.vertexAttribDivisor(slot, 1);
    this.bare = gl.createVertexArray();
    /** @type {{texture: WebGLTexture, frame: WebGLFramebuffer, width: number, height: number} | null} */
    this.target = null;
  }

  /**
   * Make room for a scene.
   *
   * @param {{degree: number, antialiased: boolean, rows: number}} scene
   */
  open({ degree, antialiased, rows }) {
    this.degree = degree;
    this.antialiased = antialiased;
    this.rows = Math.min(rows, this.mostRows);
    this.used = 0;
    this.count = 0;
    this.blocks = [];
    this.allocate();
  }

  allocate() {
    const { gl } = this;
    for (const old of [this.geometry, this.sh]) if (old) gl.deleteTexture(old);
    this.geometry = dataTexture(gl, 2 * ROW, Math.max(1, this.rows));
    const texels = SH_TEXELS[this.degree];
    this.sh = dataTexture(gl, Math.max(1, texels * ROW), texels ? Math.max(1, this.rows) : 1);
  }

  /**
   * Take the Gaussians of a chunk; returns the slot of the first one, or -1 where there is no room.
   *
   * @param {number} item
   * @param {Uint32Array} geometry whole rows
   * @param {Uint32Array} sh
   */
  add(item, geometry, sh) {
    const rows = geometry.length / (8 * ROW);
    if (this.used + rows > this.rows) return -1;
    const block = { item, rows, row: this.used, geometry, sh };
    this.used += rows;
    this.blocks.push(block);
    this.upload(block);
    return block.row * ROW;
  }

  /** @param {Block} block */
  upload({ row, rows, geometry, sh }) {
    const { gl } = this;
    const put = (/** @type {WebGLTexture} */ texture, /** @type {number} */ width, /** @type {Uint32Array} */ data) => {
      gl.bindTexture(gl.TEXTURE_2D, texture);
      gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, row, width, rows, gl.RGBA_INTEGER, gl.UNSIGNED_INT, data);
    };
    put(/** @type {WebGLTexture} */ (this.geometry), 2 * ROW, geometry);
    if (this.degree) put(/** @type {WebGLTexture} */ (this.sh), SH_TEXELS[this.degree] * ROW, sh);
  }

  /** Draw these Gaussians, from the first to the last. @param {Uint32Array} slots */
  setOrder(slots) {
    const { gl } = this;
    this.order = slots;
    this.count = slots.length;
    gl.bindBuffer(gl.ARRAY_BUFFER, this.buffer ?? null);
    gl.bufferData(gl.ARRAY_BUFFER, slots, gl.DYNAMIC_DRAW);
  }

  /** Build everything again after the context was lost. */
  restore() {
    this.geometry = undefined;
    this.sh = undefined;
    this.setUp();
    this.allocate();
    for (const block of this.blocks) this.upload(block);
    this.setOrder(this.order);
  }

  /**
   * @param {Camera} camera
   * @param {number[]} background red, green, blue
   */
  draw(camera, background) {
    const { gl, canvas } = this;
    if (gl.isContextLost()) return;
    const { width, height } = canvas;
    this.fit(width, height);
    gl.viewport(0, 0, width, height);
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.target?.frame ?? null);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT);
    if (this.count) this.drawGaussians(camera, width, height);
    gl.bindFramebuffer(gl.FRAMEBUFFER, null);
    gl.disable(gl.BLEND);
    gl.useProgram(this.copy?.handle ?? null);
    gl.bindVertexArray(this.bare ?? null);
    gl.activeTexture(gl.TEXTURE0);
    gl.bindTexture(gl.TEXTURE_2D, this.target?.texture ?? null);
    gl.uniform3fv(this.copy?.at("u_background") ?? null, background);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
  }

  /** @param {Camera} camera @param {number} width @param {number} height */
  drawGaussians(camera, width, height) {
    const { gl } = this;
    const { handle, at } = /** @type {Program} */ (this.program);
    gl.useProgram(handle);
    gl.bindVertexArray(this.array ?? null);
    gl.activeTexture(gl.TEXTURE0);
    gl.bindTexture(gl.TEXTURE_2D, this.geometry ?? null);
    gl.activeTexture(gl.TEXTURE1);
    gl.bindTexture(gl.TEXTURE_2D, this.sh ?? null);
    gl.uniform1i(at("u_geometry"), 0);
    gl.uniform1i(at("u_sh"), 1);
    gl.uniform1i(at("u_degree"), this.degree);
    gl.uniform1i(at("u_antialiased"), this.antialiased ? 1 : 0);
    gl.uniformMatrix4fv(at("u_view"), true, camera.viewmat.flat());
    gl.uniform3fv(at("u_eye"), camera.pos);
    gl.uniform2f(at("u_focal"), camera.focal, camera.focal);
    gl.uniform2f(at("u_size"), width, height);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    gl.drawArraysInstanced(gl.TRIANGLE_STRIP, 0, 4, this.count);
  }

  /**
   * A picture of half floats to blend in: eight bits would round after each of hundreds of layers.
   *
   * @param {number} width
   * @param {number} height
   */
  fit(width, height) {
    const { gl, target } = this;
    if (target && target.width === width && target.height === height) return;
    if (target) {
      gl.deleteTexture(target.texture);
      gl.deleteFramebuffer(target.frame);
    }
    const texture = /** @type {WebGLTexture} */ (gl.createTexture());
    const frame = /** @type {WebGLFramebuffer} */ (gl.createFramebuffer());
    gl.bindTexture(gl.TEXTURE_2D, texture);
    gl.texStorage2D(gl.TEXTURE_2D, 1, this.format ?? gl.RGBA8, width, height);
    nearest(gl);
    gl.bindFramebuffer(gl.FRAMEBUFFER, frame);
    gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, texture, 0);
    this.target = { texture, frame, width, height };
  }
}

/** @param {string} message */
function trouble(message) {
  return Object.assign(new Error(message), { code: "webgl" });
}

/** @typedef {{handle: WebGLProgram, at: (name: string) => WebGLUniformLocation | null}} Program */

/** @param {WebGL2RenderingContext} gl @param {string} vertex @param {string} fragment @returns {Program} */
function program(gl, vertex, fragment) {
  const handle = gl.createProgram();
  const texts = new Map([[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]]);
  for (const [kind, text] of texts) {
    const shader = /** @type {WebGLShader} */ (gl.createShader(kind));
    gl.shaderSource(shader, text);
    gl.compileShader(shader);
    gl.attachShader(handle, shader);
  }
  gl.linkProgram(handle);
  if (!gl.getProgramParameter(handle, gl.LINK_STATUS) && !gl.isContextLost()) {
    const logs = (gl.getAttachedShaders(handle) ?? []).map((shader) => gl.getShaderInfoLog(shader));
    throw trouble(`the shaders do not compile here: ${logs.join(" ")}`);
  }
  /** @type {Map<string, WebGLUniformLocation | null>} */
  const places = new Map();
  const at = (/** @type {string} */ name) => {
    if (!places.has(name)) places.set(name, gl.getUniformLocation(handle, name));
    return places.get(name) ?? null;
  };
  return { handle, at };
}

/** @param {WebGL2RenderingContext} gl @param {number} width @param {number} height */
function dataTexture(gl, width, height) {
  const texture = /** @type {WebGLTexture} */ (gl.createTexture());
  gl.bindTexture(gl.TEXTURE_2D, texture);
  gl.texStorage2D(gl.TEXTURE_2D, 1, gl.RGBA32UI, width, height);
  nearest(gl);
  return texture;
}

/** @param {WebGL2RenderingContext} gl */
function nearest(gl) {
  gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.NEAREST);
  gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.NEAREST);
}
