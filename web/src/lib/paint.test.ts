import { expect, test } from "vitest";
import { fillLoops, fillPolygon, strokeLine } from "./paint";
import { emptyBitmap } from "./rle";

const sum = (data: Uint8Array) => data.reduce((total, value) => total + value, 0);

test("a dot of the brush is a disc, and the eraser takes it away", () => {
  const bitmap = emptyBitmap(40, 40);
  strokeLine(bitmap, [20, 20], [20, 20], 10, 1);
  expect(sum(bitmap.data) / (Math.PI * 100)).toBeCloseTo(1, 1);
  strokeLine(bitmap, [0, 20], [40, 20], 30, 0);
  expect(sum(bitmap.data)).toBe(0);
});

test("strokes end at the border", () => {
  const bitmap = emptyBitmap(10, 10);
  strokeLine(bitmap, [-50, 5], [50, 5], 1, 1);
  expect(sum(bitmap.data)).toBe(20);
});

test("a polygon has the area that it has", () => {
  const bitmap = emptyBitmap(20, 20);
  fillPolygon(
    bitmap,
    [
      [5, 5],
      [15, 5],
      [15, 15],
      [5, 15],
    ],
    1,
  );
  expect(sum(bitmap.data)).toBe(100);
  fillPolygon(
    bitmap,
    [
      [-5, -5],
      [30, -5],
      [30, 10],
    ],
    0,
  );
  expect(bitmap.data[14 * 20 + 6]).toBe(1);
});

test("loops of a coarser grid are filled at its scale, but for their holes", () => {
  const bitmap = emptyBitmap(40, 20);
  const outer = Float32Array.of(0, 0, 10, 0, 10, 10, 0, 10);
  const hole = Float32Array.of(2, 2, 2, 4, 4, 4, 4, 2);
  fillLoops(bitmap, [outer, hole], 1, [4, 2]);
  expect(sum(bitmap.data)).toBe(40 * 20 - 8 * 4);
  expect([7, 8, 15, 16].map((x) => bitmap.data[5 * 40 + x])).toEqual([1, 0, 0, 1]);
});
