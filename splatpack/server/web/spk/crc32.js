/** CRC-32 of zlib, PNG and gzip, four bytes at a step. */

const TABLES = makeTables();

function makeTables() {
  const tables = [0, 1, 2, 3].map(() => new Uint32Array(256));
  for (let i = 0; i < 256; i++) {
    let c = i;
    for (let k = 0; k < 8; k++) c = c & 1 ? (c >>> 1) ^ 0xedb88320 : c >>> 1;
    tables[0][i] = c;
  }
  for (let i = 0; i < 256; i++) {
    for (let t = 1; t < 4; t++) tables[t][i] = (tables[t - 1][i] >>> 8) ^ tables[0][tables[t - 1][i] & 255];
  }
  return tables;
}

/**
 * @param {Uint8Array} data
 * @returns {number} 0 to 2^32 - 1
 */
export function crc32(data) {
  const [t0, t1, t2, t3] = TABLES;
  let c = 0xffffffff;
  let i = 0;
  for (const end = data.length - 3; i < end; i += 4) {
    c ^= data[i] | (data[i + 1] << 8) | (data[i + 2] << 16) | (data[i + 3] << 24);
    c = t3[c & 255] ^ t2[(c >>> 8) & 255] ^ t1[(c >>> 16) & 255] ^ t0[c >>> 24];
  }
  for (; i < data.length; i++) c = (c >>> 8) ^ t0[(c ^ data[i]) & 255];
  return (c ^ 0xffffffff) >>> 0;
}
