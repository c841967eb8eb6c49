// Runs one codec of an npm package on one file: `node node.mjs JOB.json`. See protocol.py for the job and the answer.
// Nothing here knows splatpack. Packages are imported from `home`, the folder that scripts/peers filled.
import fs from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const job = JSON.parse(fs.readFileSync(process.argv[2], 'utf8'));
const load = (file) => import(pathToFileURL(path.join(job.home, 'node_modules', file)).href);
const readBytes = (file) => new Uint8Array(fs.readFileSync(file));
const buffer = (bytes) => bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);

// The browser names that viewers ask for while they are imported.
function pretendBrowser() {
  globalThis.window ??= globalThis;
  globalThis.self ??= globalThis;
  globalThis.document ??= { createElement: () => ({}) };
}

// Wall and processor seconds of `repeat` calls after a first one, or of the first alone when that took longer than `slow`.
async function timed(call) {
  const once = async () => {
    const cpu = process.cpuUsage();
    const start = performance.now();
    const result = await call();
    const wall = (performance.now() - start) / 1e3;
    const used = process.cpuUsage(cpu);
    return { result, wall, cpu: (used.user + used.system) / 1e6 };
  };
  let last = await once();
  const calls = [last];
  if (last.wall < job.slow) {
    calls.length = 0;
    for (let k = 0; k < job.repeat; k++) {
      last = null;
      globalThis.gc?.();
      last = await once();
      calls.push({ wall: last.wall, cpu: last.cpu });
    }
  }
  return { result: last.result, seconds: calls.map((c) => c.wall), cpu: calls.map((c) => c.cpu) };
}

// An Inria PLY of float32 properties, as columns by name.
function readPly(file) {
  const bytes = readBytes(file);
  const text = Buffer.from(bytes.subarray(0, 16384)).toString('latin1');
  const end = text.indexOf('end_header\n') + 'end_header\n'.length;
  const names = [...text.slice(0, end).matchAll(/^property float (\S+)$/gm)].map((match) => match[1]);
  const count = Number(/^element vertex (\d+)$/m.exec(text)[1]);
  const rows = new Float32Array(buffer(bytes.subarray(end, end + 4 * count * names.length)));
  const columns = Object.fromEntries(names.map((name) => [name, new Float32Array(count)]));
  names.forEach((name, j) => {
    for (let i = 0; i < count; i++) columns[name][i] = rows[i * names.length + j];
  });
  return { count, columns };
}

function writePly(file, count, columns) {
  const names = Object.keys(columns);
  const rows = new Float32Array(count * names.length);
  names.forEach((name, j) => {
    for (let i = 0; i < count; i++) rows[i * names.length + j] = columns[name][i];
  });
  const properties = names.map((name) => `property float ${name}\n`).join('');
  const header = `ply\nformat binary_little_endian 1.0\nelement vertex ${count}\n${properties}end_header\n`;
  fs.writeFileSync(file, Buffer.concat([Buffer.from(header), Buffer.from(rows.buffer)]));
}

// SPZ's cloud: flat arrays, quaternions x y z w, colours of a coefficient side by side.
const BASIS = ['x y z', 'scale_0 scale_1 scale_2', 'f_dc_0 f_dc_1 f_dc_2', 'rot_1 rot_2 rot_3 rot_0', 'opacity'];
const FIELDS = ['positions', 'scales', 'colors', 'rotations', 'alphas'];
const shNames = (terms) =>
  Array.from({ length: 3 * terms }, (_, j) => `f_rest_${(j % 3) * terms + Math.floor(j / 3)}`);

function toCloud({ count, columns }) {
  const terms = Object.keys(columns).filter((name) => name.startsWith('f_rest_')).length / 3;
  const flat = (names) => {
    const out = new Float32Array(count * names.length);
    names.forEach((name, j) => {
      for (let i = 0; i < count; i++) out[i * names.length + j] = columns[name][i];
    });
    return out;
  };
  const cloud = { numPoints: count, shDegree: Math.sqrt(terms + 1) - 1, antialiased: false, extensions: [] };
  FIELDS.forEach((field, k) => { cloud[field] = flat(BASIS[k].split(' ')); });
  cloud.sh = flat(shNames(terms));
  return cloud;
}

function fromCloud(cloud) {
  const count = cloud.numPoints;
  const terms = (cloud.shDegree + 1) ** 2 - 1;
  const columns = {};
  const put = (flat, names) => names.forEach((name, j) => {
    columns[name] = Float32Array.from({ length: count }, (_, i) => flat[i * names.length + j]);
  });
  FIELDS.forEach((field, k) => put(cloud[field], BASIS[k].split(' ')));
  put(cloud.sh, shNames(terms));
  return { count, columns };
}

const ST = '@playcanvas/splat-transform/dist/index.mjs';

async function readSource(st, file) {
  const name = path.basename(file);
  const fileSystem = new st.MemoryReadFileSystem();
  fileSystem.set(name, readBytes(file));
  const [source] = await st.readFile({ filename: name, inputFormat: st.getInputFormat(name), fileSystem, options: {}, params: [] });
  return source;
}

async function decodeSource(st, file) {
  const source = await readSource(st, file);
  const table = await st.materializeToDataTable(source, st.createChunkDataPool());
  await source.close?.();
  return table;
}

async function writeWith(st, table, format, filename, options) {
  const files = new st.MemoryFileSystem();
  const source = st.dataTableToChunkSource(table);
  await st.writeSource({ filename, outputFormat: format, source, pool: st.createChunkDataPool(), options }, files);
  return files.results.get(filename);
}

// splat-transform: what it writes, and the reader of every format that has none of its own here.
const splatTransform = (format) => ({
  async encode() {
    const st = await load(ST);
    const table = await decodeSource(st, job.source);
    return timed(() => writeWith(st, table, format, path.basename(job.target), job.options));
  },
  async decode() {
    const st = await load(ST);
    const done = await timed(() => decodeSource(st, job.source));
    fs.writeFileSync(job.target, await writeWith(st, done.result, 'ply', 'decoded.ply', {}));
    return done;
  },
});

const codecs = {
  sog: splatTransform('sog-bundle'),
  compressed: splatTransform('compressed-ply'),
  splat: splatTransform('splat'),
  spz: {
    async encode() {
      const spz = await (await load('@adobe/spz/dist/spz.js')).default();
      const cloud = toCloud(readPly(job.source));
      const options = { version: 4, from: spz.CoordinateSystem.UNSPECIFIED, sh1Bits: 5, shRestBits: 4, ...job.options };
      return timed(() => spz.saveSpzToBuffer(cloud, options));
    },
    async decode() {
      const spz = await (await load('@adobe/spz/dist/spz.js')).default();
      const bytes = readBytes(job.source);
      const done = await timed(() => spz.loadSpzFromBuffer(bytes, { to: spz.CoordinateSystem.UNSPECIFIED }));
      const { count, columns } = fromCloud(done.result);
      writePly(job.target, count, columns);
      return done;
    },
  },
  'spz-js': {
    async encode() {
      const spz = await load('spz-js/dist/index.js');
      const cloud = toCloud(readPly(job.source));
      return timed(() => spz.serializeSpz(cloud));
    },
    async decode() {
      const spz = await load('spz-js/dist/index.js');
      const bytes = readBytes(job.source);
      const done = await timed(() => spz.loadSpz(bytes));
      const { count, columns } = fromCloud(done.result);
      writePly(job.target, count, columns);
      return done;
    },
  },
  ksplat: {
    async encode() {
      pretendBrowser();
      const viewer = await load('@mkkellogg/gaussian-splats-3d/build/gaussian-splats-3d.module.js');
      const { Vector3 } = await load('three/build/three.module.js');
      const degree = Math.min(2, toCloud(readPly(job.source)).shDegree); // all that the viewer knows
      const splats = viewer.PlyParser.parseToUncompressedSplatArray(buffer(readBytes(job.source)), degree);
      const make = () => viewer.SplatBufferGenerator
        .getStandardGenerator(1, job.options.level, 0, new Vector3(), 5.0, 256)
        .generateFromUncompressedSplatArray(splats);
      const done = await timed(make);
      return { ...done, result: new Uint8Array(done.result.bufferData) };
    },
    decode: splatTransform('ksplat').decode,
  },
  gsplat: {
    async encode() {
      pretendBrowser();
      const viewer = await load('gsplat/dist/index.es.js');
      const ply = buffer(readBytes(job.source));
      // It packs its rows while it reads a PLY, so the reading is on the clock.
      const done = await timed(() => viewer.PLYLoader.LoadFromArrayBuffer(ply, new viewer.Scene()).data.serialize());
      return { ...done, result: new Uint8Array(done.result) };
    },
    decode: splatTransform('splat').decode,
  },
};

const done = await codecs[job.codec][job.action]();
if (job.action === 'encode') fs.writeFileSync(job.target, done.result);
const peak = fs.existsSync('/proc/self/status') ? /^VmHWM:\s+(\d+)/m.exec(fs.readFileSync('/proc/self/status', 'utf8')) : null;
const answer = { seconds: done.seconds, cpu: done.cpu, peak_rss: peak ? 1024 * Number(peak[1]) : 0 };
fs.writeFileSync(job.answer, JSON.stringify(answer));
process.exit(0);
