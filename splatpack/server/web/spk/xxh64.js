/** XXH64 with seed 0, the content checksum of Zstandard. */

const P1 = 11400714785074694791n;
const P2 = 14029467366897019727n;
const P3 = 1609587929392839161n;
const P4 = 9650029242287828579n;
const P5 = 2870177450012600261n;
const cut = (/** @type {bigint} */ x) => BigInt.asUintN(64, x);
const rotate = (/** @type {bigint} */ x, /** @type {bigint} */ count) => cut((x << count) | (x >> (64n - count)));
const mix = (/** @type {bigint} */ lane, /** @type {bigint} */ value) => cut(rotate(cut(lane + value * P2), 31n) * P1);

/** @param {Uint8Array} data @returns {bigint} */
export function xxh64(data) {
  const view = new DataView(data.buffer, data.byteOffset, data.length);
  let at = 0;
  let hash = P5;
  if (data.length >= 32) {
    let lanes = [cut(P1 + P2), P2, 0n, cut(-P1)];
    for (; at + 32 <= data.length; at += 32) {
      lanes = lanes.map((lane, i) => mix(lane, view.getBigUint64(at + 8 * i, true)));
    }
    hash = [1n, 7n, 12n, 18n].reduce((sum, count, i) => cut(sum + rotate(lanes[i], count)), 0n);
    for (const lane of lanes) hash = cut((hash ^ mix(0n, lane)) * P1 + P4);
  }
  hash = cut(hash + BigInt(data.length));
  for (; at + 8 <= data.length; at += 8) {
    hash = cut(rotate(hash ^ mix(0n, view.getBigUint64(at, true)), 27n) * P1 + P4);
  }
  if (at + 4 <= data.length) {
    hash = cut(rotate(hash ^ cut(BigInt(view.getUint32(at, true)) * P1), 23n) * P2 + P3);
    at += 4;
  }
  for (; at < data.length; at++) hash = cut(rotate(hash ^ cut(BigInt(data[at]) * P5), 11n) * P1);
  hash = cut((hash ^ (hash >> 33n)) * P2);
  hash = cut((hash ^ (hash >> 29n)) * P3);
  return hash ^ (hash >> 32n);
}
