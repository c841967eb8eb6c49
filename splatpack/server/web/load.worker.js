/** Entry point of the worker that loads and decodes. */

import { load } from "./load/worker.js";

load(globalThis);
