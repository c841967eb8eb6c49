/** What can be wrong with a file, in the three words of the specification (format.md, section 7). */

/** A file that cannot be shown; `code` is `corrupt`, `unsupported` or `limit`. */
export class SpkError extends Error {
  /**
   * @param {"corrupt" | "unsupported" | "limit"} code
   * @param {string} message what, where, expected against got
   */
  constructor(code, message) {
    super(message);
    this.name = "SpkError";
    this.code = code;
  }
}

/**
 * Refuse the file unless a rule holds.
 *
 * @param {unknown} holds
 * @param {string} message
 */
export function check(holds, message) {
  if (!holds) throw new SpkError("corrupt", message);
}
