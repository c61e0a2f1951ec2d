import { expect, test } from "vitest";
import { type Loop, traceBitmap, traceLogits } from "./contour";
import { emptyBitmap } from "./rle";

const area = (loop: Loop) => {
  let sum = 0;
  for (let i = 0; i < loop.length; i += 2) {
    const j = (i + 2) % loop.length;
    sum += loop[i] * loop[j + 1] - loop[j] * loop[i + 1];
  }
  return sum / 2;
};

test("a ring has an outer and an inner outline, turning opposite ways", () => {
  const bitmap = emptyBitmap(9, 9);
  for (let y = 1; y <= 7; y++)
    for (let x = 1; x <= 7; x++) bitmap.data[y * 9 + x] = x > 2 && x < 6 && y > 2 && y < 6 ? 0 : 1;
  const loops = traceBitmap(bitmap);
  expect(loops).toHaveLength(2);
  expect(area(loops[0])).toBeCloseTo(49 - 0.5);
  expect(area(loops[1])).toBeCloseTo(-(9 - 0.5));
});

test("masks at the border are closed", () => {
  const bitmap = emptyBitmap(2, 2);
  bitmap.data.fill(1);
  expect(area(traceBitmap(bitmap)[0])).toBeCloseTo(4 - 0.5);
});

test("pixels that touch at a corner are outlined each for itself", () => {
  const bitmap = emptyBitmap(2, 2);
  bitmap.data[0] = bitmap.data[3] = 1;
  expect(traceBitmap(bitmap)).toHaveLength(2);
});

test("logits cross between their samples", () => {
  const logits = new Float32Array([-1, -1, -1, -1, 3, -1, -1, -1, -1]);
  const [loop] = traceLogits(logits, 3, 3);
  expect(Math.min(...loop.filter((_, i) => i % 2 === 0))).toBeCloseTo(1.5 - 0.75);
  expect(Math.max(...loop.filter((_, i) => i % 2 === 1))).toBeCloseTo(1.5 + 0.75);
});

test("nothing inside, no outline", () => {
  expect(traceBitmap(emptyBitmap(4, 4))).toEqual([]);
});
