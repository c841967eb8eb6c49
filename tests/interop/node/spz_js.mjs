// spz-js between PLY, SPZ version 2 and compressed PLY. Usage: spz_js.mjs PEERS source target
import fs from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";

const [peers, source, target] = process.argv.slice(2);
const spz = await import(pathToFileURL(path.join(peers, "node_modules/spz-js/dist/index.js")).href);
const bytes = fs.readFileSync(source);
const stream = () => new Blob([bytes]).stream();

let cloud;
if (source.endsWith(".spz")) cloud = await spz.loadSpz(new Uint8Array(bytes));
else if (source.endsWith(".compressed.ply")) cloud = await spz.loadCompressedPly(stream());
else cloud = await spz.loadPly(stream());

let out;
if (target.endsWith(".spz")) out = await spz.serializeSpz(cloud);
else if (target.endsWith(".compressed.ply")) out = spz.serializeCompressedPly(cloud);
else out = spz.serializePly(cloud);
fs.writeFileSync(target, new Uint8Array(out));
