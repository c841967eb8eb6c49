/** Mouse, touch and keyboard to a pose. */

/** @typedef {import("../draw/camera.js").Pose} Pose */

const TURN = 0.005; // radians a pixel
const KEY_TURN = 1.2; // radians a second
const KEY_MOVE = 0.6; // distances a second
const TAP = 0.03; // seconds that a key counts at least
const KEY_ZOOM = 1.5; // a second, as a power of e
const WHEEL = 0.0015; // a pixel, as a power of e
const LINE = 16; // pixels that a line of a wheel stands for

/** What held keys do: turn right and up, move right, up and forward, zoom; parts of one second. */
const HELD = {
  ArrowLeft: { turn: [-1, 0] }, ArrowRight: { turn: [1, 0] }, ArrowUp: { turn: [0, 1] }, ArrowDown: { turn: [0, -1] },
  KeyA: { move: [-1, 0, 0] }, KeyD: { move: [1, 0, 0] }, KeyQ: { move: [0, -1, 0] }, KeyE: { move: [0, 1, 0] },
  KeyS: { move: [0, 0, -1] }, KeyW: { move: [0, 0, 1] }, Equal: { zoom: -1 }, NumpadAdd: { zoom: -1 },
  Minus: { zoom: 1 }, NumpadSubtract: { zoom: 1 },
};

/** Turns what people do into changes of a pose. */
export class Controls {
  /**
   * @param {HTMLElement} element takes pointers
   * @param {() => Pose | null} pose
   * @param {() => void} changed called after each change, and when a key starts to change something
   */
  constructor(element, pose, changed) {
    this.element = element;
    this.pose = pose;
    this.changed = changed;
    this.fly = false;
    /** Whether anybody has moved the camera. */
    this.touched = false;
    /** @type {Map<number, {x: number, y: number}>} */
    this.pointers = new Map();
    /** @type {Set<string>} */
    this.keys = new Set();
    element.addEventListener("pointerdown", (event) => this.down(event));
    element.addEventListener("pointermove", (event) => this.moved(event));
    for (const end of /** @type {const} */ (["pointerup", "pointercancel", "lostpointercapture"])) {
      element.addEventListener(end, (event) => this.pointers.delete(event.pointerId));
    }
    element.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    element.addEventListener("contextmenu", (event) => event.preventDefault());
    addEventListener("keydown", (event) => this.key(event));
    addEventListener("keyup", (event) => this.keys.delete(event.code));
    addEventListener("blur", () => this.keys.clear());
  }

  /** @param {PointerEvent} event */
  down(event) {
    this.element.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
  }

  /** @param {PointerEvent} event */
  moved(event) {
    const before = this.pointers.get(event.pointerId);
    const pose = this.pose();
    if (!before || !pose) return;
    const now = { x: event.clientX, y: event.clientY };
    const [dx, dy] = [now.x - before.x, now.y - before.y];
    if (dx === 0 && dy === 0) return;
    if (this.pointers.size >= 2) this.pinch(pose, event.pointerId, before, now);
    else if (event.buttons & 6 || event.shiftKey) this.pan(pose, dx, dy);
    else this.turn(pose, TURN * dx, -TURN * dy);
    this.pointers.set(event.pointerId, now);
    this.done();
  }

  /** Two fingers: their distance zooms, their middle moves. */
  pinch(
    /** @type {Pose} */ pose,
    /** @type {number} */ id,
    /** @type {{x: number, y: number}} */ before,
    /** @type {{x: number, y: number}} */ now,
  ) {
    const other = [...this.pointers].find(([pointer]) => pointer !== id)?.[1] ?? before;
    const apart = (/** @type {{x: number, y: number}} */ p) => Math.max(1, Math.hypot(p.x - other.x, p.y - other.y));
    pose.zoom(apart(before) / apart(now));
    this.pan(pose, (now.x - before.x) / 2, (now.y - before.y) / 2);
  }

  /**
   * Turn the scene after the pointer: by going about the target, or when flying by turning the camera.
   *
   * @param {Pose} pose
   * @param {number} yaw
   * @param {number} pitch
   */
  turn(pose, yaw, pitch) {
    if (this.fly) pose.look(-yaw, -pitch);
    else pose.orbit(yaw, pitch);
  }

  /** Move the scene with the pointer. @param {Pose} pose @param {number} dx pixels @param {number} dy */
  pan(pose, dx, dy) {
    const { width, height, focal } = pose.camera(this.element.clientWidth || 1, this.element.clientHeight || 1);
    const step = width && height ? pose.distance / focal : 0;
    pose.move(-dx * step, dy * step, 0);
  }

  /** @param {WheelEvent} event */
  wheel(event) {
    event.preventDefault();
    const pose = this.pose();
    if (!pose) return;
    const pixels = event.deltaMode === 1 ? LINE * event.deltaY : event.deltaY;
    const power = WHEEL * pixels * (event.ctrlKey ? 5 : 1); // pinching a touchpad comes as a wheel with Ctrl
    if (this.fly) pose.move(0, 0, -power * pose.distance);
    else pose.zoom(Math.exp(power));
    this.done();
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const target = /** @type {HTMLElement} */ (event.target);
    const plain = !(event.ctrlKey || event.metaKey || event.altKey);
    if (!plain || !(event.code in HELD) || target.closest("dialog, input, select")) return;
    event.preventDefault();
    if (!event.repeat) this.press(event.code, TAP); // a tap may be over before the next frame
    this.keys.add(event.code);
    this.done();
  }

  /** Move by the keys that are held; returns whether any is. @param {number} seconds since the last call */
  step(seconds) {
    for (const code of this.keys) this.press(code, seconds);
    return this.keys.size > 0;
  }

  /** What a key does in some time. @param {string} code @param {number} seconds */
  press(code, seconds) {
    const pose = this.pose();
    if (!pose) return;
    const { turn, move, zoom } = /** @type {any} */ (HELD)[code];
    const step = KEY_MOVE * seconds * pose.distance;
    if (turn) this.turn(pose, -KEY_TURN * seconds * turn[0], -KEY_TURN * seconds * turn[1]);
    if (move) pose.move(step * move[0], step * move[1], step * move[2]);
    if (zoom && this.fly) pose.move(0, 0, -zoom * step);
    else if (zoom) pose.zoom(Math.exp(KEY_ZOOM * zoom * seconds));
  }

  done() {
    this.touched = true;
    this.changed();
  }
}
