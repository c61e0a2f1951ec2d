import { expect, test } from "vitest";
import {
  clock,
  columnsToReview,
  frameToX,
  laneSegments,
  lowestConfidence,
  reveal,
  ticks,
  xToFrame,
  zoomWindow,
} from "./lanes";

const all = (numFrames: number, width: number) => ({ start: 0, stop: numFrames, width });

test("frames of one status are one segment", () => {
  expect(laneSegments("..pppuu.l", all(9, 90))).toEqual([
    { x0: 20, x1: 50, level: "p" },
    { x0: 50, x1: 70, level: "u" },
    { x0: 80, x1: 90, level: "l" },
  ]);
});

test("a single bad frame in an hour is still visible", () => {
  const status = `${"p".repeat(50_000)}l${"p".repeat(58_000)}`;
  const segments = laneSegments(status, all(status.length, 1200));
  expect(segments.map((segment) => segment.level)).toEqual(["p", "l", "p"]);
  expect(segments[1].x1 - segments[1].x0).toBeCloseTo(1);
});

test("confidence takes the lowest object and frame of a pixel, of masks that are there", () => {
  const lanes = [
    { status: "pppp", confidence: [90, 80, 70, 60] },
    { status: ".opu", confidence: [-1, 5, 95, 20] },
  ];
  expect([...lowestConfidence(lanes, all(4, 2))]).toEqual([80, 20]);
  expect([...lowestConfidence([{ status: "ol", confidence: [3, 0] }], all(2, 2))]).toEqual([-1, -1]);
  expect([...lowestConfidence([], all(4, 2))]).toEqual([-1, -1]);
});

test("columns to check are those of the frames that the server names, however many share a pixel", () => {
  expect([...columnsToReview([1, 3], all(4, 8))]).toEqual([0, 0, 1, 1, 0, 0, 1, 1]);
  expect([...columnsToReview([5, 99_999], all(100_000, 4))]).toEqual([1, 0, 0, 1]);
  expect([...columnsToReview([5], { start: 6, stop: 10, width: 4 })]).toEqual([0, 0, 0, 0]);
  expect([...columnsToReview([], all(4, 2))]).toEqual([0, 0]);
});

test("frames and pixels are inverse", () => {
  const window = { start: 30, stop: 90, width: 600 };
  expect(xToFrame(window, frameToX(window, 47) + 1, 100)).toBe(47);
  expect(xToFrame(window, 99999, 100)).toBe(99);
  expect(xToFrame(window, -5000, 100)).toBe(0);
});

test("ticks are round times", () => {
  const labels = ticks(all(300, 600), 30).map((tick) => tick.label);
  expect(labels).toEqual(["0:00", "0:02", "0:04", "0:06", "0:08", "0:10"]);
  expect(clock(3725)).toBe("1:02:05");
  expect(clock(59.96, true)).toBe("1:00.0");
});

test("a window zooms around a frame and follows the shown frame", () => {
  const window = zoomWindow(all(1000, 500), 4, 500, 1000);
  expect(window.stop - window.start).toBe(250);
  expect(frameToX(window, 500)).toBeCloseTo(250);
  const moved = reveal(window, 990, 1000);
  expect(moved.stop).toBe(1000);
  expect(zoomWindow(window, 0.0001, 500, 1000).stop).toBe(1000);
});
