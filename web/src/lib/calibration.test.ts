import { expect, test } from "vitest";
import { confidenceOf, stageOf } from "./calibration";

const curves = { click: { inputs: [0.2, 0.6, 0.8], outputs: [0.1, 0.3, 0.9] } };

test("predictions are interpolated, and beyond the ends the nearest one counts", () => {
  expect(confidenceOf(0.4, curves, "click")).toBeCloseTo(0.2);
  expect(confidenceOf(0.7, curves, "click")).toBeCloseTo(0.6);
  expect([0, 0.2, 0.8, 1.1].map((value) => confidenceOf(value, curves, "click"))).toEqual([0.1, 0.1, 0.9, 0.9]);
});

test("without a curve the prediction counts, within its range", () => {
  expect([-0.1, 0.4, 1.2].map((value) => confidenceOf(value, curves, "box"))).toEqual([0, 0.4, 1]);
});

test("a box decides the stage, else the number of clicks", () => {
  const point = [1, 2] as const;
  expect(stageOf({ points: [point], box: [0, 0, 1, 1] })).toBe("box");
  expect(stageOf({ points: [point], box: null })).toBe("click");
  expect(stageOf({ points: [point, point], box: null })).toBe("clicks");
});
