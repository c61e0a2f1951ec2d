import { expect, test } from "vitest";
import { nextToReview } from "./review";

test("repeated calls visit every suggestion", () => {
  const suggestions = [30, 4, 17].map((frame_index) => ({ frame_index, object_id: 1, reason: "", score: 1 }));
  let frame = 0;
  const seen = suggestions.map(() => (frame = nextToReview(suggestions, frame)?.frame_index ?? -1));
  expect(seen).toEqual([30, 4, 17]);
  expect(nextToReview(suggestions, 17)?.frame_index).toBe(30);
  expect(nextToReview([], 0)).toBeUndefined();
});
