/** Which frame a person should look at next. */

import type { Suggestion } from "../api/types";

/** Of suggestions, the most useful first: the one after that which is being looked at, and round again. */
export function nextToCheck(suggestions: readonly Suggestion[], frame: number): Suggestion | undefined {
  const at = suggestions.findIndex((one) => one.frame_index === frame);
  return suggestions[(at + 1) % suggestions.length];
}
