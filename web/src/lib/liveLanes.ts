/** The timeline while masks arrive one by one, as the server will have it at the end. */

import type { ObjectMask, Status, Timeline, TimelineObject } from "../api/types";
import type { Level } from "./lanes";

const LETTERS: Readonly<Record<Status, Level>> = { present: "p", uncertain: "u", occluded: "o", lost: "l" };

interface Entry {
  readonly frame: number;
  readonly letter: Level;
  readonly confidence: number;
}

/** The part of a frame's masks that lanes show. */
interface LaneFrame {
  readonly frame_index: number;
  readonly objects: readonly Pick<
    ObjectMask,
    "object_id" | "status" | "confidence" | "prompted" | "accepted" | "review"
  >[];
}

/** @param frames each with the masks of all its objects. */
export function withFrames(timeline: Timeline, frames: readonly LaneFrame[]): Timeline {
  const byObject = new Map<number, Entry[]>();
  for (const masks of frames) {
    for (const mask of masks.objects) {
      const letter = LETTERS[mask.status];
      const entry = { frame: masks.frame_index, letter, confidence: Math.round(mask.confidence * 100) };
      const entries = byObject.get(mask.object_id);
      if (entries) entries.push(entry);
      else byObject.set(mask.object_id, [entry]);
    }
  }
  const objects = timeline.objects.map((lane) => {
    const entries = byObject.get(lane.object_id);
    return entries ? withEntries(lane, entries) : lane;
  });
  return { ...timeline, objects, review: reviewWith(timeline.review, frames) };
}

function withEntries(lane: TimelineObject, entries: readonly Entry[]): TimelineObject {
  const confidence = [...lane.confidence];
  for (const entry of entries) confidence[entry.frame] = entry.confidence;
  // Only the changed part is split up: the string may be an hour long.
  const first = Math.min(...entries.map((entry) => entry.frame));
  const last = Math.max(...entries.map((entry) => entry.frame));
  const middle = [...lane.status.slice(first, last + 1)];
  for (const entry of entries) middle[entry.frame - first] = entry.letter;
  const status = lane.status.slice(0, first) + middle.join("") + lane.status.slice(last + 1);
  return { ...lane, status, confidence };
}

/** The tracker decides which masks to review; prompted and accepted ones need none. */
function reviewWith(before: readonly number[], frames: readonly LaneFrame[]): number[] {
  const review = new Set(before);
  for (const { frame_index, objects } of frames) {
    if (objects.some((mask) => mask.review && !mask.prompted && !mask.accepted)) review.add(frame_index);
    else review.delete(frame_index);
  }
  return [...review].sort((a, b) => a - b);
}
