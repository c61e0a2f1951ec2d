import { expect, test } from "vitest";
import { decodeRle } from "../lib/rle";
import { upsampled } from "../lib/upsample";
import { chooseMasks, requestOf, toTokens } from "./prompts";
import { readSafetensors } from "./safetensors";
import { tidy } from "./tidy";

test("points become tokens of the square, the box first and the padding last", () => {
  const request = {
    points: [[100, 50]] as const,
    labels: [0] as const,
    box: [0, 0, 200, 100] as const,
    candidate: null,
  };
  const tokens = toTokens(request, 200, 100, 384);
  expect([...tokens.points]).toEqual([0.5, 0.5, 384.5, 384.5, 192.5, 192.5, 0.5, 0.5]);
  expect([...tokens.labels]).toEqual([2n, 3n, 0n, -1n]);
});

test("a single click has three candidates, other prompts have one answer", () => {
  expect(chooseMasks([0.9, 0.2, 0.7, 0.5], 1, true)).toEqual([2, 3, 1]);
  expect(chooseMasks([0.9, 0.2, 0.7, 0.5], 2, true)).toEqual([0]);
  expect(chooseMasks([0.9, 0.2, 0.7, 0.5], 2, false)).toEqual([2]);
});

test("points added to a prompt correct its answer; any other change starts over", () => {
  const prompt = (count: number, candidate: number | null = null) => ({
    points: (
      [
        [1, 1],
        [2, 2],
        [3, 3],
      ] as const
    ).slice(0, count),
    labels: ([1, 1, 0] as const).slice(0, count),
    box: null,
    candidate,
  });
  const first = requestOf(prompt(1), null);
  expect(first).toEqual({ ...prompt(1), previous: null, mask: null });
  const second = requestOf(prompt(2), first);
  expect(second).toEqual({ ...prompt(2), previous: first, mask: null });
  expect(requestOf(prompt(3), second)).toEqual({ ...prompt(3), previous: second, mask: null });
  // Undone in the meantime: the points correct the earlier request again.
  const other = {
    ...prompt(2),
    points: [
      [1, 1],
      [9, 9],
    ] as const,
  };
  expect(requestOf(other, second)).toEqual({ ...other, previous: first, mask: null });
  // A point was removed.
  expect(requestOf({ ...prompt(1), points: [[2, 2]] }, second).previous).toBeNull();
  // Another candidate was chosen for the first click.
  expect(requestOf(prompt(2, 1), first)).toEqual({
    ...prompt(2, 1),
    previous: { ...prompt(1, 1), previous: null, mask: null },
    mask: null,
  });
  // After a reload the history is unknown, and clicks are most likely.
  expect(requestOf(prompt(3), null).previous?.previous).toEqual({ ...prompt(1), previous: null, mask: null });
});

test("masks at the size of the picture, column by column", () => {
  const { rle, area } = upsampled(Float32Array.from([-3, 1, -3, 1]), 2, 4, 2);
  // Columns are at 0, a quarter, three quarters and 1 between the samples -3 and 1: -3, -2, 0 and 1.
  expect([...decodeRle(rle).data]).toEqual([0, 0, 0, 1, 0, 0, 0, 1]);
  expect(area).toBe(2);
});

test("safetensors are read wherever their bytes lie", () => {
  const header = new TextEncoder().encode(JSON.stringify({ a: { dtype: "F32", shape: [1, 2], data_offsets: [0, 8] } }));
  const bytes = new ArrayBuffer(8 + header.length + 8);
  const view = new DataView(bytes);
  view.setBigUint64(0, BigInt(header.length), true);
  new Uint8Array(bytes, 8).set(header);
  view.setFloat32(8 + header.length, 1.5, true);
  view.setFloat32(12 + header.length, -2, true);
  const tensor = readSafetensors(bytes).get("a");
  expect(tensor?.shape).toEqual([1, 2]);
  expect([...(tensor?.data ?? [])]).toEqual([1.5, -2]);
});

test("small holes are filled and small pieces dropped, but for first that was clicked on", () => {
  const drawn = ["####...#", "#.##..#.", "####....", "####...."]; // a hole of 1, a piece of 2 joined by its corner
  const side = 8;
  const grid = () => {
    const logits = new Float32Array(side * side).fill(-1);
    drawn.forEach((line, y) => {
      [...line].forEach((mark, x) => {
        if (mark === "#") logits[y * side + x] = 1;
      });
    });
    return logits;
  };
  const show = (logits: Float32Array) =>
    drawn.map((line, y) => [...line].map((_, x) => (logits[y * side + x] > 0 ? "#" : ".")).join(""));

  const tidied = grid();
  tidy(tidied, side, { maxHole: 1 / 17, maxPiece: 2 / 17 }, []);
  expect(show(tidied)).toEqual(["####....", "####....", "####....", "####...."]);

  const clicked = grid();
  tidy(clicked, side, { maxHole: 0, maxPiece: 2 / 17 }, [[6.5, 1.2]]);
  expect(show(clicked)).toEqual(drawn);

  const untouched = grid();
  tidy(untouched, side, { maxHole: 0.9 / 17, maxPiece: 1.9 / 17 }, []);
  expect(untouched).toEqual(grid());
});
