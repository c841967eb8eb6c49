// gsplat.js: a .splat, read and written again. Usage: gsplat_js.mjs PEERS in.splat out.splat
import fs from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";

globalThis.window = globalThis;
globalThis.self = globalThis;
const [peers, source, target] = process.argv.slice(2);
const { SplatData } = await import(pathToFileURL(path.join(peers, "node_modules/gsplat/dist/index.es.js")).href);
fs.writeFileSync(target, SplatData.Deserialize(new Uint8Array(fs.readFileSync(source))).serialize());
