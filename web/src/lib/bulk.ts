/** Changes of many media, sent in parts. */

import type { BulkAnswer } from "../api/types";
import { plural } from "./text";

/**
 * Send a change of many items in parts of at most `size`, one after the other.
 *
 * @param send changes a part.
 * @param onProgress is called with the number of items done, before each part and at the end.
 * @returns all answers together; where a part fails, an error with the answers before it.
 */
export async function inParts<T>(
  items: readonly T[],
  size: number,
  send: (part: readonly T[]) => Promise<BulkAnswer>,
  onProgress: (done: number) => void = () => {},
): Promise<{ answer: BulkAnswer; error: unknown }> {
  let answer: BulkAnswer = { done: [], skipped: [] };
  for (let start = 0; start < items.length; start += size) {
    onProgress(start);
    try {
      const { done, skipped } = await send(items.slice(start, start + size));
      answer = { done: [...answer.done, ...done], skipped: [...answer.skipped, ...skipped] };
    } catch (error) {
      return { answer, error };
    }
  }
  onProgress(items.length);
  return { answer, error: null };
}

/** Say what was done and what was skipped, as "Accepted 3 files; 1 skipped: cat.jpg: there is no mask". */
export function bulkMessage(verb: string, { done, skipped }: BulkAnswer): string {
  const what = done.length ? `${verb} ${plural(done.length, "file")}` : `${verb} nothing`;
  if (!skipped.length) return what;
  const { name, message } = skipped[0];
  return `${what}; ${skipped.length} skipped: ${name}: ${message}${skipped.length > 1 ? " …" : ""}`;
}
