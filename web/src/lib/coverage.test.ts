import { expect, test } from "vitest";
import { isAnythingTracked, numStale, numUntracked } from "./coverage";

const lane = (status: string, prompted: number[], stale: [number, number][] = []) => ({
  object_id: 1,
  status,
  confidence: [...status].map(() => 90),
  prompted,
  stale,
});

test("prompted frames alone are not tracked ones", () => {
  expect(isAnythingTracked([lane("p...", [0])])).toBe(false);
  expect(numUntracked([lane("p...", [0])], null)).toBe(0);
});

test("the object with most frames missing counts, within the limits", () => {
  const lanes = [lane("pp..", [0]), lane("ppp.", [0]), lane("....", [])];
  expect(numUntracked(lanes, null)).toBe(2);
  expect(numUntracked(lanes, { start: 0, stop: 3 })).toBe(1);
});

test("a frame that is stale for two objects counts once", () => {
  expect(numStale([lane("pppp", [0], [[1, 3]]), lane("pppp", [0], [[2, 4]])])).toBe(3);
});
