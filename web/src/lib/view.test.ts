import { expect, test } from "vitest";
import type { Point } from "../api/types";
import { fit, fitBox, keepVisible, pinch, toScreen, toSource, unionOf, zoomAt } from "./view";

const source = { width: 1920, height: 1080 };
const canvas = { width: 1000, height: 800 };
const none = { side: 0, top: 0, bottom: 0 };

test("fit shows everything, centred", () => {
  const view = fit(source, canvas, none);
  expect(toScreen(view, [0, 0])[0]).toBeCloseTo(0);
  expect(toScreen(view, [1920, 1080])[0]).toBeCloseTo(1000);
  expect(toScreen(view, [960, 540])).toEqual([500, 400]);
});

test("fit keeps clear of the margins", () => {
  const view = fit(source, canvas, { side: 10, top: 20, bottom: 300 });
  expect(toScreen(view, [0, 0])[1]).toBeGreaterThanOrEqual(20);
  expect(toScreen(view, [1920, 1080])[1]).toBeLessThanOrEqual(500);
});

test("source and screen are inverse", () => {
  const view = { scale: 3.7, x: -31, y: 12.5 };
  const [x, y] = toSource(view, toScreen(view, [123, 45]));
  expect(x).toBeCloseTo(123);
  expect(y).toBeCloseTo(45);
});

test("zooming leaves the pixel under the pointer where it is, and stops at its limits", () => {
  const pointer: Point = [321, 123];
  const before = fit(source, canvas, none);
  const under = toSource(before, pointer);
  const after = zoomAt(before, 2.5, pointer, 0.05);
  expect(toScreen(after, under)[0]).toBeCloseTo(321);
  expect(toScreen(after, under)[1]).toBeCloseTo(123);
  expect(zoomAt(before, 1e9, pointer, 0.05).scale).toBe(40);
  expect(zoomAt(before, 1e-9, pointer, 0.05).scale).toBe(0.05);
});

test("two fingers keep their pixels", () => {
  const view = { scale: 1, x: 0, y: 0 };
  const after = pinch(
    view,
    [
      [100, 100],
      [200, 100],
    ],
    [
      [50, 150],
      [350, 150],
    ],
    0.1,
  );
  expect(toScreen(after, [100, 100])[0]).toBeCloseTo(50);
  expect(toScreen(after, [200, 100])[0]).toBeCloseTo(350);
  expect(toScreen(after, [150, 100])[1]).toBeCloseTo(150);
});

test("the picture cannot be lost", () => {
  const view = keepVisible({ scale: 1, x: 99999, y: -99999 }, source, canvas);
  expect(view.x).toBeLessThan(canvas.width);
  expect(view.y).toBeGreaterThan(-source.height);
});

test("a box is shown in the middle, as large as it fits", () => {
  const canvas = { width: 400, height: 300 };
  const view = fitBox([100, 50, 140, 70], canvas, { side: 0, top: 0, bottom: 0 });
  expect(toScreen(view, [120, 60]).map(Math.round)).toEqual([200, 150]);
  expect(view.scale).toBeCloseTo(400 / 56);
  expect(fitBox([10, 10, 11, 11], canvas, { side: 0, top: 0, bottom: 0 }).scale).toBe(40); // no further than zoom goes
  expect(
    unionOf([
      [0, 5, 2, 6],
      [1, 1, 9, 2],
    ]),
  ).toEqual([0, 1, 9, 6]);
});
