/** The page about the viewer: what is loaded in words, buttons, keys, and errors. */

import { Viewer } from "./viewer.js";

const BLACK = [0, 0, 0];
const WHITE = [1, 1, 1];
const BUDGETS = { fine: 8_000_000, coarse: 2_000_000 };

/** Bytes for people. @param {number} n */
export function size(n) {
  const units = [["GB", 1e9], ["MB", 1e6], ["kB", 1e3]];
  const [unit, scale] = units.find(([, least]) => n >= Number(least)) ?? ["B", 1];
  return `${Number((n / Number(scale)).toPrecision(3))} ${unit}`;
}

/** Numbers for people. @param {number} n */
function count(n) {
  return n.toLocaleString("en");
}

/**
 * Settings of an address: `?scene=`, `?src=`, `?tau=`, `?budget=`, `?background=`, `?ui=`; `#at=`, `#token=`.
 *
 * @param {{search: string, hash: string}} where
 */
export function settings({ search, hash }) {
  const query = new URLSearchParams(search);
  const secret = new URLSearchParams(hash.slice(1));
  const number = (/** @type {string} */ name, /** @type {number} */ otherwise) => {
    const value = Number(query.get(name) ?? NaN);
    return Number.isFinite(value) && value >= 0 ? value : otherwise;
  };
  return {
    scene: query.get("scene") ?? "",
    src: query.get("src"),
    tau: number("tau", 1),
    budget: number("budget", matchMedia("(pointer: coarse)").matches ? BUDGETS.coarse : BUDGETS.fine),
    background: query.get("background"),
    bare: query.get("ui") === "off",
    pose: secret.get("at") ?? "",
    token: secret.get("token") ?? "",
  };
}

/** What is on the page, and what it says. */
export class Page {
  /**
   * @param {Document} document
   * @param {object} options
   * @param {string} options.name
   * @param {Omit<import("./viewer.js").Options, "background">} options.viewer
   * @param {string | null} options.background `black`, `white`, or what the browser prefers
   * @param {boolean} options.bare whether nothing but the scene is shown
   */
  constructor(document, { name, viewer, background, bare }) {
    this.root = document.documentElement;
    this.find = (/** @type {string} */ id) => /** @type {HTMLElement} */ (document.getElementById(id));
    this.name = name;
    this.n = 0;
    this.total = 0;
    this.drawn = 0;
    /** What was told last of loading. @type {Record<string, any>} */
    this.last = { bytes: 0, state: "streaming", complete: false };
    const dark = background ? background !== "white" : !matchMedia("(prefers-color-scheme: light)").matches;
    this.find("name").textContent = name;
    this.root.classList.toggle("bare", bare);
    document.title = `${name} – splatpack`;
    this.say("Loading…");
    const canvas = /** @type {HTMLCanvasElement} */ (this.find("view"));
    this.viewer = new Viewer(canvas, { ...viewer, background: dark ? BLACK : WHITE }, (news) => this.hear(news));
    this.buttons();
    addEventListener("keydown", (event) => this.key(event));
    this.viewer.start();
  }

  /** @param {string} text */
  say(text) {
    const state = this.find("state");
    if (state.textContent !== text) state.textContent = text;
  }

  /** @param {{type: string} & Record<string, any>} news */
  hear(news) {
    if (news.type === "scene") {
      this.n = news.n;
      this.total = news.bytes;
      this.facts();
    } else if (news.type === "drawn") {
      this.drawn = news.gaussians;
      this.facts();
    } else if (news.type === "progress") this.progress(news);
    else if (news.type === "failed") this.trouble(news);
    else if (news.type === "full") {
      this.note("This device's budget of Gaussians is used up: finer detail is left out. ?budget=N sets it.");
    } else if (news.type === "context" && news.lost) this.say("The graphics card was taken away; waiting for it…");
    else if (news.type === "context") this.progress(this.last);
    else if (news.type === "frame") this.frame(news);
  }

  facts() {
    this.find("facts").textContent = `${count(this.drawn)} Gaussians drawn, ${count(this.n)} in the file`;
  }

  /** @param {Record<string, any>} news */
  progress(news) {
    const { bytes, state, complete } = news;
    this.last = news;
    const bar = /** @type {HTMLProgressElement} */ (this.find("bar"));
    bar.max = Math.max(1, this.total);
    bar.value = bytes;
    bar.hidden = state === "idle";
    this.root.dataset.state = complete ? "complete" : state;
    const loaded = `${size(bytes)} of ${size(this.total)}`;
    if (complete) this.say(`All of it is here: ${size(bytes)}.`);
    else if (state === "idle") this.say(`${loaded}: all that this view needs.`);
    else if (state === "waiting") this.say(`${loaded}: the connection is lost, trying again…`);
    else this.say(`${loaded}…`);
  }

  /** @param {Record<string, any>} news */
  trouble({ code, message, fatal }) {
    this.note(`${fatal ? "This scene cannot be shown" : "A part of the scene cannot be shown"} (${code}): ${message}`);
    if (!fatal) return;
    this.root.dataset.state = "error";
    this.find("bar").hidden = true;
    this.say(this.drawn ? "Loading has ended." : "Nothing is shown.");
  }

  /** @param {string} text */
  note(text) {
    const note = this.find("note");
    note.textContent = text;
    note.hidden = false;
  }

  /** @param {Record<string, any>} news */
  frame({ camera, settled }) {
    this.root.dataset.settled = String(settled);
    if (settled) this.root.dataset.camera = JSON.stringify(camera);
  }

  buttons() {
    const on = (/** @type {string} */ id, /** @type {() => void} */ act) =>
      this.find(id).addEventListener("click", act);
    on("reset", () => this.viewer.home());
    on("fly", () => this.fly());
    on("up", () => this.up());
    on("paper", () => this.paper());
    on("link", () => this.link());
    on("help", () => this.help());
    on("note", () => (this.find("note").hidden = true));
  }

  fly() {
    const { controls } = this.viewer;
    controls.fly = !controls.fly;
    this.find("fly").setAttribute("aria-pressed", String(controls.fly));
  }

  /** Another direction is up. */
  up() {
    this.viewer.pose?.nextUp();
    this.viewer.controls.done();
  }

  /** Black behind the scene, or white. */
  paper() {
    this.viewer.background = this.viewer.background === BLACK ? WHITE : BLACK;
    this.viewer.render();
  }

  /** The camera goes to the address, and from there to the clipboard. */
  async link() {
    if (!this.viewer.pose) return;
    const at = this.viewer.pose.toText();
    history.replaceState(null, "", `${location.pathname}${location.search}#at=${at}`);
    try {
      await navigator.clipboard.writeText(location.href);
      this.say("A link to this view is in the clipboard.");
    } catch {
      this.say("The address now leads to this view.");
    }
  }

  help() {
    const dialog = /** @type {HTMLDialogElement} */ (this.find("keys"));
    if (dialog.open) dialog.close();
    else dialog.showModal();
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    const acts = /** @type {Record<string, () => void>} */ ({
      r: () => this.viewer.home(),
      Home: () => this.viewer.home(),
      f: () => this.fly(),
      u: () => this.up(),
      b: () => this.paper(),
      l: () => this.link(),
      h: () => this.help(),
      "?": () => this.help(),
    });
    acts[event.key]?.();
  }
}

/**
 * Build the page for an address, or say why not.
 *
 * @param {Document} document
 * @param {(where: ReturnType<typeof settings>) => Promise<ConstructorParameters<typeof Page>[1]>} prepare
 */
export async function open(document, prepare) {
  try {
    return new Page(document, await prepare(settings(location)));
  } catch (error) {
    const { code, message } = /** @type {{code?: string, message: string}} */ (error);
    const note = document.getElementById("note");
    document.documentElement.dataset.state = "error";
    if (note) {
      note.textContent = `The viewer did not start (${code ?? "internal"}): ${message}`;
      note.hidden = false;
    }
    return null;
  }
}
