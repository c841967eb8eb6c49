/** Every file of spec/vectors: the good ones decode to their arrays, the others are refused for the reason they should. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { SpkError } from "../../splatpack/server/web/spk/errors.js";
import { decodeFile, widenSh } from "./file.js";
import { manifest, readNpz, spec, tables } from "./spec.js";

const VECTORS = manifest();
const ULPS = 4;

/** Whether two float32 are within 4 units in the last place, or, for means, within a slack. */
function near(/** @type {number} */ a, /** @type {number} */ b, /** @type {number} */ slack) {
  const ulp = 2 ** Math.max(Math.floor(Math.log2(Math.max(Math.abs(b), 1e-38))) - 23, -149);
  return Object.is(a, b) || Math.abs(a - b) <= ULPS * ulp + slack;
}

for (const { file, why } of VECTORS.filter((v) => v.expect === "ok")) {
  test(`${file}: ${why}`, () => {
    const { scene, drawn } = decodeFile(spec(`vectors/${file}`), tables);
    const want = readNpz(spec(`vectors/${file.replace(".spk", ".npz")}`));
    const cells = scene.profiles.map((p) => (p.splat ? p.splat.lattice[3] : 0));
    for (const [name, { values }] of want) {
      const extra = name.startsWith("extra_") ? name.slice(6) : null;
      const parts = drawn.map((g) => {
        if (name === "shN") return widenSh(g, scene.degree);
        if (extra === null) return /** @type {any} */ (g)[name];
        const length = g.n * (scene.extras.get(extra)?.components ?? 0);
        return g.extras.get(extra) ?? new values.constructor(length);
      });
      assert.equal(parts.reduce((sum, part) => sum + part.length, 0), values.length, name);
      const slack = name === "means" ? 1e-6 * Math.max(...cells) : 0;
      let i = 0;
      for (const part of parts) {
        for (const value of part) {
          const fits = extra === null ? near(value, values[i], slack) : Object.is(value, values[i]);
          assert.ok(fits, `${name}[${i}]: ${value}, expected ${values[i]}`);
          i++;
        }
      }
    }
  });
}

for (const { file, expect, why } of VECTORS.filter((v) => v.expect !== "ok")) {
  test(`${file}: ${why}`, () => {
    const refused = (/** @type {any} */ error) => error instanceof SpkError && error.code === expect;
    assert.throws(() => decodeFile(spec(`vectors/${file}`), tables), refused);
  });
}
