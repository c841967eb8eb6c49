/** Loading from a file or by ranges: the client itself decides what comes next. */

import { Mirror } from "../stream/mirror.js";
import { nearOf } from "../stream/priority.js";
import { Scheduler } from "../stream/scheduler.js";
import { PAGE } from "../stream/wire.js";

/** @typedef {import("./sink.js").Sink} Sink */

/** Fetches a scene chunk by chunk in the order of the newest view. */
export class RangeLoader {
  /**
   * @param {import("./sources.js").BytesSource | import("./sources.js").HttpSource} source
   * @param {import("../spk/scene.js").Tables} tables
   * @param {Sink} sink
   * @param {number} budget Gaussians that may be loaded
   */
  constructor(source, tables, sink, budget) {
    this.source = source;
    this.tables = tables;
    this.sink = sink;
    this.left = budget;
    this.running = 0;
    /** @type {import("../stream/priority.js").View | null} */
    this.view = null;
    /** @type {Scheduler | null} */
    this.scheduler = null;
    /** @type {Mirror | null} */
    this.mirror = null;
    this.paging = true;
  }

  /** Read the prefix, then the pages; chunks follow as views ask for them. */
  async start() {
    try {
      const mirror = new Mirror((await this.source.prefix()).slice(), this.tables);
      this.mirror = mirror;
      this.scheduler = new Scheduler(nearOf(mirror.scene.chunks ?? mirror.leaves));
      this.sink.opened(mirror);
      if (mirror.scene.chunks) this.known(0, mirror.scene.chunks);
      for (let page = 0; page < mirror.leaves.length; page++) {
        const { offset, length, chunks } = mirror.leaves[page];
        mirror.accept(PAGE + page, await this.source.read(offset, length));
        const first = mirror.first[page];
        this.known(first, /** @type {any} */ (mirror.chunks.slice(first, first + chunks)));
      }
      this.paging = false;
      this.pump();
    } catch (error) {
      this.sink.failed(error, true);
    }
  }

  /** @param {number} first @param {import("../spk/pages.js").Chunk[]} chunks */
  known(first, chunks) {
    this.scheduler?.add(first, chunks);
    this.pump();
  }

  /** Load for another view. @param {import("../stream/priority.js").View} view */
  look(view) {
    this.view = view;
    this.scheduler?.look(view);
    this.pump();
  }

  /** Start as many reads as may run. */
  pump() {
    const { scheduler, mirror, view } = this;
    if (!scheduler || !mirror || !view) return;
    if (!scheduler.view) scheduler.look(view);
    while (this.left > 0 && this.running < this.source.parallel) {
      const item = scheduler.next();
      if (item === null) break;
      const chunk = /** @type {import("../spk/pages.js").Chunk} */ (mirror.chunks[item]);
      this.left -= chunk.count;
      if (this.left < 0) break;
      this.fetch(item, chunk);
    }
    if (this.running === 0 && !this.paging) this.sink.idle();
  }

  /** @param {number} item @param {import("../spk/pages.js").Chunk} chunk */
  async fetch(item, chunk) {
    this.running++;
    try {
      const data = await this.source.read(chunk.offset, chunk.length);
      this.mirror?.accept(item, data);
      this.sink.chunk(item, data);
    } catch (error) {
      this.sink.failed(error, false);
    } finally {
      this.running--;
      this.pump();
    }
  }

  close() {
    this.view = null;
  }
}
