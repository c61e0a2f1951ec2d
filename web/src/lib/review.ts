/** The order in which frames are reviewed. */

import type { Suggestion } from "../api/types";

/** Return the suggestion after the one for the shown frame, starting over after the last. Most useful first. */
export function nextToReview(suggestions: readonly Suggestion[], frame: number): Suggestion | undefined {
  const at = suggestions.findIndex((suggestion) => suggestion.frame_index === frame);
  return suggestions[(at + 1) % suggestions.length];
}
