/** Entry point of the page that a server gives out. */

import { open } from "./ui/page.js";

/** @param {string} path */
async function bytes(path) {
  const response = await fetch(path);
  if (!response.ok) throw new Error(`${path}: HTTP status ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}

/** @param {string} path */
const worker = (path) => () => new Worker(new URL(path, import.meta.url), { type: "module" });

open(document, async ({ scene, src, token, background, bare, ...rest }) => {
  const [defaults, dictionary] = await Promise.all([bytes("defaults.txt"), bytes("metadata.dict")]);
  const url = new URL("/", location.href);
  url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  const source = src === null
    ? { kind: /** @type {const} */ ("socket"), url: url.href, scene, token }
    : { kind: /** @type {const} */ ("http"), url: new URL(src, location.href).href };
  const name = scene || (src ?? "").replace(/^.*\//, "").replace(/\.spk$/, "") || "scene";
  const workers = { load: worker("load.worker.js"), sort: worker("sort.worker.js") };
  return { name, background, bare, viewer: { source, defaults, dictionary, workers, ...rest } };
});
