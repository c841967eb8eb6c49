// The reference SPZ code (WASM build). Usage: adobe_spz.mjs PEERS in.spz out.json FRAME | PEERS in.json out.spz FRAME VERSION
import fs from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";

const [peers, source, target, frame, version] = process.argv.slice(2);
const entry = path.join(peers, "node_modules/@adobe/spz/dist/spz.js");
const spz = await (await import(pathToFileURL(entry).href)).default();
const axes = spz.CoordinateSystem[frame];
const NAMES = ["positions", "scales", "rotations", "alphas", "colors", "sh"];

if (source.endsWith(".spz")) {
  const cloud = spz.loadSpzFromBuffer(new Uint8Array(fs.readFileSync(source)), { to: axes, coordinateSystem: axes });
  const out = { numPoints: cloud.numPoints, shDegree: cloud.shDegree, antialiased: cloud.antialiased };
  // Alpha bytes 0 and 255 come as infinities, which JSON does not have: the logit of 1 - 1e-6 stands for them.
  for (const name of NAMES) out[name] = Array.from(cloud[name], (v) => Math.min(Math.max(v, -1e30), 1e30));
  out.alphas = out.alphas.map((v) => Math.min(Math.max(v, -13.8155), 13.8155));
  fs.writeFileSync(target, JSON.stringify(out));
} else {
  const cloud = JSON.parse(fs.readFileSync(source, "utf8"));
  for (const name of NAMES) cloud[name] = Float32Array.from(cloud[name]);
  cloud.extensions = [];
  const options = { from: axes, coordinateSystem: axes, version: Number(version), sh1Bits: 5, shRestBits: 4 };
  fs.writeFileSync(target, spz.saveSpzToBuffer(cloud, options));
}
