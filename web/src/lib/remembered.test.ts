import { expect, test } from "vitest";
import { readRemembered } from "./remembered";

const USUAL = { format: "coco", onlyAccepted: false };

test("what was remembered completes what is usual", () => {
  expect(readRemembered('{"format": "yolo"}', USUAL)).toEqual({ format: "yolo", onlyAccepted: false });
});

test.each([null, "", "null", "[]", "3", "{"])("%s is as if nothing were remembered", (text) => {
  expect(readRemembered(text, USUAL)).toEqual(USUAL);
});
