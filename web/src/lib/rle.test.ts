import { expect, test } from "vitest";
import { decodeCounts, decodeRle, emptyBitmap, encodeCounts, encodeRle, rleBox, rleContains } from "./rle";

// From pycocotools: a 5 x 7 mask with rows 1..3 and columns 2..4, without its centre.
const RING = { size: [5, 7] as const, counts: ";32NO0129" };

function ring() {
  const bitmap = emptyBitmap(7, 5);
  for (let y = 1; y <= 3; y++) for (let x = 2; x <= 4; x++) bitmap.data[y * 7 + x] = 1;
  bitmap.data[2 * 7 + 3] = 0;
  return bitmap;
}

test("decodes what pycocotools wrote", () => {
  expect([...decodeRle(encodeRle(ring())).data]).toEqual([...ring().data]);
  expect(encodeRle(ring()).counts).toBe(RING.counts);
  expect([...decodeRle(RING).data]).toEqual([...ring().data]);
});

test("the box of a mask has its right and bottom edges outside", () => {
  expect(rleBox(RING)).toEqual([2, 1, 5, 4]);
  const tall = emptyBitmap(7, 5); // one run over two columns
  for (let y = 3; y < 5; y++) tall.data[y * 7 + 2] = 1;
  for (let y = 0; y < 2; y++) tall.data[y * 7 + 3] = 1;
  expect(rleBox(encodeRle(tall))).toEqual([2, 0, 4, 5]);
});

test("counts survive both ways, long and shrinking runs too", () => {
  const counts = [0, 5, 100000, 3, 2, 70000, 1];
  expect(decodeCounts(encodeCounts(counts))).toEqual(counts);
});

test("a run that crosses columns fills both", () => {
  const bitmap = emptyBitmap(3, 4);
  bitmap.data.fill(1);
  expect(encodeRle(bitmap).counts).toBe(encodeCounts([0, 12]));
  expect([...decodeRle(encodeRle(bitmap)).data]).toEqual(new Array(12).fill(1));
});

test("a stride keeps every other row and column", () => {
  const small = decodeRle(RING, 2);
  expect([small.width, small.height]).toEqual([4, 3]);
  // rows 0, 2, 4 and columns 0, 2, 4, 6 of the ring
  expect([...small.data]).toEqual([0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0]);
});

test("tells whether a pixel is inside", () => {
  expect(rleContains(RING, 2.9, 1.2)).toBe(true);
  expect(rleContains(RING, 3, 2)).toBe(false);
  expect(rleContains(RING, -1, 2)).toBe(false);
});
