import { expect, test } from "vitest";
import type { Proposal } from "../api/types";
import { inReadingOrder, offered, type ProposalFilter, proposalAt } from "./proposals";
import { emptyBitmap, encodeRle } from "./rle";

/** A picture of 10 x 10 with rectangles: number, confidence, box, containers. */
function rectangle(number: number, confidence: number, box: [number, number, number, number], inside: number[] = []) {
  const bitmap = emptyBitmap(10, 10);
  for (let y = box[1]; y < box[3]; y++) for (let x = box[0]; x < box[2]; x++) bitmap.data[y * 10 + x] = 1;
  const area = (box[2] - box[0]) * (box[3] - box[1]);
  return { number, confidence, box, area, inside, rle: encodeRle(bitmap), iou_prediction: confidence } as Proposal;
}

const TABLE = rectangle(0, 0.9, [0, 0, 10, 9]);
const CUP = rectangle(1, 0.8, [1, 1, 5, 5], [0]);
const HANDLE = rectangle(2, 0.5, [1, 1, 2, 3], [0, 1]);
const ALL: ProposalFilter = { minConfidence: 0, minShare: 0, maxShare: 1, level: "both" };
const numbers = (filter: Partial<ProposalFilter>, refused: number[] = [], accepted: number[] = []) =>
  offered([TABLE, CUP, HANDLE], { ...ALL, ...filter }, 100, new Set(refused), (n) => accepted.includes(n)).map(
    ({ number }) => number,
  );

test("confidence and size filter", () => {
  expect(numbers({})).toEqual([0, 1, 2]);
  expect(numbers({ minConfidence: 0.6 })).toEqual([0, 1]);
  expect(numbers({ minShare: 0.1, maxShare: 0.5 })).toEqual([1]);
});

test("objects lie in no other proposal that passes, parts do", () => {
  expect(numbers({ level: "objects" })).toEqual([0]);
  expect(numbers({ level: "objects", maxShare: 0.5 })).toEqual([1]);
  expect(numbers({ level: "parts" })).toEqual([1, 2]);
});

test("a refused proposal gives way to what lies in it, an accepted one does not", () => {
  expect(numbers({ level: "objects" }, [0])).toEqual([1]);
  expect(numbers({ level: "objects" }, [], [0])).toEqual([]);
  expect(numbers({ level: "objects", maxShare: 0.5 }, [], [0])).toEqual([]);
});

test("a click means the smallest proposal there", () => {
  expect(proposalAt([TABLE, CUP, HANDLE], 1.5, 2.5)).toBe(HANDLE);
  expect(proposalAt([TABLE, CUP, HANDLE], 4.5, 4.5)).toBe(CUP);
  expect(proposalAt([TABLE, CUP], 3, 9.5)).toBeNull();
});

test("keys go through the picture line by line", () => {
  const [right, left, low] = [
    [7, 0, 9, 2],
    [0, 0, 2, 2],
    [0, 8, 2, 10],
  ] as const;
  const list = [right, left, low].map((box, number) => rectangle(number, 1, [...box]));
  expect(inReadingOrder(list, 10).map(({ number }) => number)).toEqual([1, 0, 2]);
});
