import { expect, test } from "vitest";
import type { OptionSchema } from "../api/types";
import { defaultsOf, knownValues, optionsInUse } from "./options";

const SCHEMA: OptionSchema = {
  properties: {
    segmentation: { type: "string", enum: ["rle", "polygons"], default: "rle" },
    tolerance: { type: "number", default: 0, "x-only-if": { segmentation: ["polygons"] } },
    step: { type: "integer", default: 1, "x-only-for": "video" },
    effect: { const: "blur" },
  },
};

const shown = (values: Record<string, unknown>, kind: "image" | "video" | null) =>
  optionsInUse(SCHEMA, values, kind).map(([name]) => name);

test("an option is shown only while another one gives it a meaning", () => {
  expect(shown({}, "video")).toEqual(["segmentation", "step"]);
  expect(shown({ segmentation: "polygons" }, "video")).toEqual(["segmentation", "tolerance", "step"]);
});

test("a photo has no options for videos; a project may have both kinds", () => {
  expect(shown({}, "image")).toEqual(["segmentation"]);
  expect(shown({}, null)).toContain("step");
});

test("remembered options that no longer exist are left out", () => {
  expect(knownValues(SCHEMA, { step: 2, gone: true })).toEqual({ step: 2 });
  expect(defaultsOf(SCHEMA)).toEqual({ segmentation: "rle", tolerance: 0, step: 1 });
});
