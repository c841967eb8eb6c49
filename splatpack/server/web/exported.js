/** Entry point of a page that holds everything itself: `splatpack view --export` fills in the blocks that it reads. */

import { open } from "./ui/page.js";

/** @param {string} id */
function block(id) {
  return document.getElementById(id)?.textContent ?? "";
}

/** The bytes of a block in base64. @param {string} id */
function bytes(id) {
  const text = atob(block(id));
  const out = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) out[i] = text.charCodeAt(i);
  return out;
}

/** @param {string} id */
function worker(id) {
  return () => new Worker(URL.createObjectURL(new Blob([block(id)], { type: "text/javascript" })));
}

open(document, async ({ tau, budget, pose, background, bare }) => {
  const source = { kind: /** @type {const} */ ("bytes"), data: bytes("scene") };
  const workers = { load: worker("load-worker"), sort: worker("sort-worker") };
  const tables = { defaults: bytes("defaults"), dictionary: bytes("dictionary") };
  return { name: block("name"), background, bare, viewer: { source, workers, ...tables, tau, budget, pose } };
});
