import { expect, test } from "vitest";
import { crossesItself, freeName, inArrow, stepPath, type Zone, zonesBody } from "./zones";

const GATE: Zone = {
  kind: "line",
  name: "line 1",
  points: [
    [0, 0],
    [10, 0],
  ],
};
const ROOM: Zone = {
  kind: "region",
  name: "room",
  points: [
    [0, 0],
    [4, 0],
    [4, 4],
  ],
};

test("lines and regions are sent apart", () => {
  expect(zonesBody([ROOM, GATE])).toEqual({
    lines: [{ name: "line 1", start_xy: [0, 0], end_xy: [10, 0] }],
    regions: [
      {
        name: "room",
        points_xy: [
          [0, 0],
          [4, 0],
          [4, 4],
        ],
      },
    ],
  });
});

test("new names are free", () => {
  expect(freeName("line", [GATE])).toBe("line 2");
  expect(freeName("region", [GATE, ROOM])).toBe("region 1");
});

test("an outline that crosses itself is told from one that touches itself", () => {
  const bow = [
    [0, 0],
    [10, 10],
    [10, 0],
    [0, 20],
  ] as const;
  const eight = [
    [0, 0],
    [5, 5],
    [10, 0],
    [10, 10],
    [5, 5],
    [0, 10],
  ] as const;
  expect([bow, eight, ROOM.points].map((points) => crossesItself(points))).toEqual([true, false, false]);
});

test("objects go in to the left of the arrow", () => {
  expect(inArrow(GATE.points, 5)).toEqual([
    [5, 0],
    [5, -5],
  ]);
});

test("a step diagram begins at the left and ends at the right", () => {
  expect(stepPath([0, 2, 1], 2, 30, 10)).toBe("M0,10H10V0H20V5H30");
});

test("of many numbers the largest of each pixel is drawn", () => {
  expect(stepPath([0, 4, 0, 0, 1, 0], 4, 2, 8)).toBe("M0,0H1V6H2");
});
