/** Entry point of the worker that sorts by depth. */

import { sorter } from "./draw/sort.js";

sorter(globalThis);
