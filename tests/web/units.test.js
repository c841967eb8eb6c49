/** Single parts against plain references. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";
import { crc32 as reference, deflateRawSync } from "node:zlib";

import { Pose } from "../../splatpack/server/web/draw/camera.js";
import { Depths } from "../../splatpack/server/web/draw/sort.js";
import { half, packGeometry, packSh } from "../../splatpack/server/web/load/pack.js";
import { sampleOf, stageOfBoxes, stageOfSamples } from "../../splatpack/server/web/load/stage.js";
import { Budget } from "../../splatpack/server/web/spk/bytes.js";
import { crc32 } from "../../splatpack/server/web/spk/crc32.js";
import { SpkError } from "../../splatpack/server/web/spk/errors.js";
import { inflate } from "../../splatpack/server/web/spk/inflate.js";
import { sha256 } from "../../splatpack/server/web/spk/sha256.js";
import { decodeZstd } from "../../splatpack/server/web/spk/zstd.js";
import { rotation } from "../../splatpack/server/web/stream/priority.js";
import { decodeFile } from "./file.js";
import { spec, tables } from "./spec.js";

/** Numbers from 0 to 1, the same each time. @param {number} seed */
function random(seed) {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

const bytes = (/** @type {number} */ n, /** @type {number} */ seed, letters = 256) => {
  const next = random(seed);
  return Uint8Array.from({ length: n }, () => Math.floor(next() * letters));
};
const refused = (/** @type {any} */ error) => error instanceof SpkError;
const close = (/** @type {number[]} */ a, /** @type {number[]} */ b, within = 1e-9) =>
  a.forEach((x, i) => assert.ok(Math.abs(x - b[i]) <= within, `[${i}]: ${x}, expected ${b[i]}`));

test("SHA-256 and CRC-32 are those of node", () => {
  for (const n of [0, 1, 3, 55, 56, 63, 64, 65, 1000, 4099]) {
    const data = bytes(n, n + 1);
    assert.deepEqual([...sha256(data)], [...createHash("sha256").update(data).digest()], `${n} bytes`);
    if (reference) assert.equal(crc32(data), reference(data));
  }
  assert.equal(crc32(new TextEncoder().encode("123456789")), 0xcbf43926);
});

test("inflate gives back what was deflated, with a dictionary", () => {
  const dictionary = bytes(300, 5, 20);
  for (const level of [0, 1, 6, 9]) {
    for (const [n, letters] of [[0, 2], [1, 2], [5000, 4], [70000, 256], [3000, 1]]) {
      const data = Uint8Array.from([...bytes(n, 9, letters), ...dictionary]);
      const packed = new Uint8Array(deflateRawSync(data, { level, dictionary }));
      assert.deepEqual(inflate(packed, dictionary, data.length), data);
      assert.throws(() => inflate(packed, dictionary, data.length - 1), refused);
      assert.throws(() => inflate(packed.subarray(0, -1), dictionary, data.length), refused);
      assert.throws(() => inflate(Uint8Array.from([...packed, 0]), dictionary, data.length), refused);
    }
  }
});

test("inflate ends on anything", () => {
  for (let seed = 1; seed < 400; seed++) {
    const data = bytes(60, seed);
    try {
      assert.ok(inflate(data, new Uint8Array(8), 1000).length <= 1000);
    } catch (error) {
      if (!refused(error)) throw error;
    }
  }
});

const FRAMES = process.env.SPLATPACK_ZSTD_FRAMES;

test("zstd gives back what python-zstandard packed", { skip: FRAMES ? false : "SPLATPACK_ZSTD_FRAMES names no folder" }, () => {
  const names = readdirSync(String(FRAMES)).filter((name) => name.endsWith(".zst"));
  assert.ok(names.length > 20);
  for (const name of names) {
    const packed = new Uint8Array(readFileSync(`${FRAMES}/${name}`));
    const want = new Uint8Array(readFileSync(`${FRAMES}/${name.replace(".zst", ".raw")}`));
    assert.deepEqual(decodeZstd(packed, new Budget(packed.length)), want, name);
    if (packed.length > 4000) continue;
    for (let n = 0; n < packed.length; n += 1 + (n >> 4)) {
      assert.throws(() => decodeZstd(packed.subarray(0, n), new Budget(0)), refused, `${name}, ${n} bytes`);
    }
    for (let i = 0; i < packed.length; i += 1 + (i >> 4)) {
      const changed = packed.slice();
      changed[i] ^= 1 << (i & 7);
      try {
        decodeZstd(changed, new Budget(0));
      } catch (error) {
        if (!refused(error)) throw error;
      }
    }
  }
});

test("a frame that declares more than the budget allows is refused before anything is made", () => {
  const head = new DataView(new ArrayBuffer(16));
  head.setUint32(0, 0xfd2fb528, true);
  head.setUint8(4, 0xe0);
  head.setUint32(5, 2 ** 30, true);
  assert.throws(() => decodeZstd(new Uint8Array(head.buffer), new Budget(0)), (/** @type {any} */ e) => e.code === "limit");
});

test("a flipped bit anywhere in a file is refused", () => {
  const file = spec("vectors/good/sh1.spk");
  for (let i = 0; i < file.length; i += 7) {
    const changed = file.slice();
    changed[i] ^= 1 << (i & 7);
    assert.throws(() => decodeFile(changed, tables), refused, `byte ${i}`);
  }
});

test("half floats are rounded to the nearest", () => {
  /** @type {[number, number][]} */
  const known = [[0, 0], [1, 0x3c00], [-2, 0xc000], [65504, 0x7bff], [1e9, 0x7bff], [2 ** -24, 1], [2 ** -14, 0x400],
    [1 + 2 ** -11 + 2 ** -20, 0x3c01], [0.1, 0x2e66], [2047.7, 0x6800]];
  for (const [x, bits] of known) assert.equal(half(x), bits, `${x}`);
});

test("packed Gaussians are as long as their rows, and centres are exact", () => {
  const [g] = decodeFile(spec("vectors/good/sh3.spk"), tables).drawn;
  const geometry = packGeometry(g);
  assert.equal(geometry.length, 8 * 1024);
  const floats = new Float32Array(geometry.buffer);
  for (let i = 0; i < g.n; i++) close([...floats.subarray(8 * i, 8 * i + 3)], [...g.means.subarray(3 * i, 3 * i + 3)], 0);
  const sh = packSh(g, 3);
  assert.equal(sh.length, 16 * 1024);
  const sizes = new Float32Array(sh.buffer);
  for (let i = 0; i < g.n; i++) {
    const own = [...g.shN.subarray(45 * i, 45 * i + 45)];
    close([sizes[16 * i + 15]], [Math.max(...own.map(Math.abs))], 1e-6);
    const green = own.filter((_, k) => k % 3 === 1);
    close(green.map((_, k) => ((sh[16 * i + k] << 10) >> 21) / 1023 * sizes[16 * i + 15]), green, sizes[16 * i + 15] / 1000);
  }
  assert.equal(packSh({ ...g, degree: 0, shN: new Float32Array(0) }, 2).length, 12 * 1024);
});

test("sorting is from back to front, without what is too near", () => {
  const next = random(3);
  const depths = new Depths();
  const points = [0, 1, 2].map((c) => Float32Array.from({ length: 3 * (500 + c) }, () => 8 * next() - 2));
  points.forEach((means, c) => depths.add(c, means, 4096 * c));
  depths.show([0, 2]);
  const axis = [0.6, 0, 0.8, 1];
  const depth = (/** @type {number} */ slot) => {
    const means = points[Math.floor(slot / 4096)];
    return axis.reduce((sum, a, k) => sum + a * (k < 3 ? means[3 * (slot % 4096) + k] : 1), 0);
  };
  for (const near of [0.05, 3]) {
    const order = [...depths.sort(axis, near)];
    const all = [0, 2].flatMap((c) => [...Array(500 + c).keys()].map((i) => 4096 * c + i)).filter((slot) => depth(slot) >= near);
    assert.deepEqual([...order].sort((a, b) => a - b), all);
    const found = order.map(depth);
    found.forEach((z, i) => assert.ok(i === 0 || found[i - 1] >= z * (1 - 2 ** -15), `${i}`));
  }
});

test("the stage is where most of the scene is", () => {
  const box = (/** @type {number} */ x, count = 100) => ({ low: [x, 0, 0], high: [x + 1, 1, 1], count });
  const stage = stageOfBoxes([box(4), box(5), box(6), box(1000, 1)]);
  close(stage.centre, [5.5, 0.5, 0.5], 0.26);
  assert.ok(stage.distance > 1 && stage.distance < 5);
  const { drawn } = decodeFile(spec("vectors/good/chunks.spk"), tables);
  const found = stageOfSamples(drawn.map(sampleOf));
  const middle = [0, 1, 2].map((k) => {
    const xs = drawn.flatMap((g) => [...g.means].filter((_, i) => i % 3 === k && g.opacities[Math.floor(i / 3)] > Math.log(0.1 / 0.9)));
    return xs.sort((a, b) => a - b)[xs.length >> 1];
  });
  close(/** @type {any} */ (found).centre, middle, 0.02);
  assert.equal(stageOfSamples([{ points: [], sizes: [] }]), null);
});

test("a pose gives a right-handed camera that looks at its target, in every frame", () => {
  const up = { rdf: [0, -1, 0], rub: [0, 1, 0], luf: [0, 1, 0], z_up: [0, 0, 1], unknown: [0, -1, 0] };
  for (const [frame, vertical] of Object.entries(up)) {
    const pose = new Pose(frame, { centre: [1, 2, 3], distance: 2 });
    pose.orbit(0.7, 0.3);
    const { viewmat, quat, pos, right, forward, up: above } = pose.camera(640, 480);
    const seen = viewmat.slice(0, 3).map((row) => row[0] + 2 * row[1] + 3 * row[2] + row[3]);
    close(seen, [0, 0, pose.distance]);
    assert.ok(above.reduce((sum, x, k) => sum + x * vertical[k], 0) > 0.9, frame);
    const turned = rotation(quat);
    [right, above.map((x) => -x), forward].forEach((axis, k) => close(turned.map((row) => row[k]), axis));
    const { distance } = pose;
    pose.look(0.2, 0.1);
    close(pose.pos, pos);
    assert.equal(pose.distance, distance);
  }
});

test("a pose survives as text, and other text is ignored", () => {
  const pose = new Pose("rdf", { centre: [0, 0, 0], distance: 1 });
  pose.orbit(1, 0.2);
  pose.move(1, 2, 3);
  const other = new Pose("rdf", { centre: [9, 9, 9], distance: 4 });
  assert.ok(other.fromText(pose.toText()));
  close(other.pos, pose.pos, 1e-4);
  for (const text of ["", "1,2", "1,2,3,0,5,6", "1,2,3,x,5,6"]) assert.ok(!other.fromText(text));
});
