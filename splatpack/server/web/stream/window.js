/** How much credit a client grants (protocol.md, section 6.1): little more than the path holds. */

const START = 256 * 1024;
const LEAST = 128 * 1024;
const MOST = 4 * 1024 * 1024;
const HELD = 1.5;
const GRANT = 4;
const BIN = 0.25; // seconds over which goodput is counted
const KEEP = 0.7;

/** The credit window of one connection, in bytes and seconds. */
export class Window {
  constructor() {
    this.size = START;
    this.received = 0;
    this.granted = START;
    this.goodput = 0;
    /** @type {number | null} */
    this.rtt = null;
    this.least = Infinity;
    this.bin = 0;
    /** @type {number | null} */
    this.since = null;
  }

  /**
   * Count bytes; returns a new absolute limit where one should be granted.
   *
   * @param {number} size
   * @param {number} now
   * @returns {number | null}
   */
  arrived(size, now) {
    this.received += size;
    if (this.since === null || now - this.since > 4 * BIN) {
      this.since = now;
      this.bin = 0;
    } else {
      this.bin += size;
      if (now - this.since >= BIN) {
        const rate = this.bin / (now - this.since);
        this.goodput = this.goodput === 0 ? rate : KEEP * this.goodput + (1 - KEEP) * rate;
        this.since = now;
        this.bin = 0;
        this.resize();
      }
    }
    if (this.granted - this.received > this.size - Math.floor(this.size / GRANT)) return null;
    this.granted = this.received + this.size;
    return this.granted;
  }

  /** Take a round trip; one of more than twice the least means queues. @param {number} rtt */
  measured(rtt) {
    this.rtt = rtt;
    this.least = Math.min(this.least, rtt);
    if (rtt > 2 * this.least + 0.01) this.size = Math.max(LEAST, this.size >> 1);
    else this.resize();
  }

  resize() {
    if (this.goodput > 0 && this.least < Infinity) {
      this.size = Math.floor(Math.min(Math.max(HELD * this.goodput * this.least, LEAST), MOST));
    }
  }
}
