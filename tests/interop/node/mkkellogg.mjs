// GaussianSplats3D: PLY to .ksplat. Usage: mkkellogg.mjs PEERS in.ply out.ksplat LEVEL DEGREE
import fs from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";

globalThis.window = globalThis;
globalThis.self = globalThis;
const [peers, source, target, level, degree] = process.argv.slice(2);
const entry = path.join(peers, "node_modules/@mkkellogg/gaussian-splats-3d/build/gaussian-splats-3d.module.js");
const splats = await import(pathToFileURL(entry).href);
const bytes = fs.readFileSync(source);
const buffer = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
const array = splats.PlyParser.parseToUncompressedSplatArray(buffer, Number(degree));
const made = splats.SplatBufferGenerator.getStandardGenerator(1, Number(level)).generateFromUncompressedSplatArray(array);
fs.writeFileSync(target, Buffer.from(made.bufferData));
