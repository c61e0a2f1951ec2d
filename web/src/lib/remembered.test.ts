import { expect, test } from "vitest";
import { isNumber, isOneOf, isWhole, readChecked, readRemembered } from "./remembered";

const USUAL = { format: "coco", onlyAccepted: false };

test("what was remembered completes what is usual", () => {
  expect(readRemembered('{"format": "yolo"}', USUAL)).toEqual({ format: "yolo", onlyAccepted: false });
});

test.each([null, "", "null", "[]", "3", "{"])("%s is as if nothing were remembered", (text) => {
  expect(readRemembered(text, USUAL)).toEqual(USUAL);
});

const OPTIONS = { level: "objects", every: 10, score: 0.5 };
const CHECKS = { level: isOneOf("objects", "parts"), every: isWhole(1, 1000), score: isNumber(0, 1) };

test("what was remembered is used where it passes its check", () => {
  const stored = JSON.stringify({ level: "parts", every: 1000, score: 0 });
  expect(readChecked(stored, OPTIONS, CHECKS)).toEqual({ level: "parts", every: 1000, score: 0 });
});

test.each([
  { every: 0 },
  { every: 2.5 },
  { every: 1001 },
  { every: "5" },
  { every: null },
  { score: 1.5 },
  { score: -0.1 },
  { level: "all" },
  { level: ["objects"] },
  { unknown: 1 },
])("%j is as if it were not remembered, and the rest stays", (change) => {
  const [changed] = Object.keys(change);
  const rest = changed === "every" ? { level: "parts", score: 0.25 } : { every: 20 };
  expect(readChecked(JSON.stringify({ ...rest, ...change }), OPTIONS, CHECKS)).toEqual({ ...OPTIONS, ...rest });
});
