import { expect, test } from "vitest";
import type { Timeline } from "../api/types";
import { withFrames } from "./liveLanes";

const timeline: Timeline = {
  num_frames: 4,
  revision: 1,
  accepted: [],
  review: [0, 3],
  objects: [1, 2].map((object_id) => ({
    object_id,
    status: "p...",
    confidence: [90, -1, -1, -1],
    prompted: [0],
    stale: [],
  })),
};

type LaneFrame = Parameters<typeof withFrames>[1][number];
type LaneMask = LaneFrame["objects"][number];

const mask = (object_id: number, about: Partial<LaneMask> = {}): LaneMask => ({
  object_id,
  status: "present",
  confidence: 0.4,
  prompted: false,
  accepted: false,
  review: false,
  ...about,
});
const on = (frame_index: number, ...objects: LaneMask[]): LaneFrame => ({ frame_index, objects });

test("masks fill their lanes as they come", () => {
  const { objects } = withFrames(timeline, [
    on(2, mask(1, { status: "lost" })),
    on(1, mask(1, { status: "uncertain" })),
  ]);
  expect(objects.map((lane) => lane.status)).toEqual(["pul.", "p..."]);
  expect(objects[0].confidence).toEqual([90, 40, 40, -1]);
  expect(objects[1]).toBe(timeline.objects[1]);
});

test("frames to check are those that the tracker says, not those of low confidence", () => {
  const low = mask(1, { confidence: 0.1 });
  const doubtful = mask(2, { status: "uncertain", review: true });
  expect(withFrames(timeline, [on(1, low), on(2, mask(1), doubtful)]).review).toEqual([0, 2, 3]);
  expect(withFrames(timeline, [on(0, low), on(3, { ...doubtful, accepted: true })]).review).toEqual([]);
});
