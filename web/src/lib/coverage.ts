/** The share of a video that has been tracked, from the timeline's lanes. */

import type { TimelineObject } from "../api/types";

const statusCounts = new WeakMap<TimelineObject, number>();

/** Count the frames on which an object has a status; kept per lane, which may be an hour long. */
function countFrames(lane: TimelineObject): number {
  let count = statusCounts.get(lane);
  if (count === undefined) {
    count = 0;
    for (let i = 0; i < lane.status.length; i++) if (lane.status[i] !== ".") count++;
    statusCounts.set(lane, count);
  }
  return count;
}

/** Return whether anything has been tracked, beyond the prompted frames themselves. */
export const isAnythingTracked = (lanes: readonly TimelineObject[]): boolean =>
  lanes.some((lane) => countFrames(lane) > lane.prompted.length);

/**
 * Return how many frames of the prompted objects have not been tracked yet; 0 before the first run.
 *
 * @param limits count only frames [start, stop); null counts all.
 */
export function numUntracked(
  lanes: readonly TimelineObject[],
  limits: { readonly start: number; readonly stop: number } | null,
): number {
  if (!isAnythingTracked(lanes)) return 0;
  const missing = (lane: TimelineObject) =>
    limits
      ? [...lane.status.slice(limits.start, limits.stop)].filter((letter) => letter === ".").length
      : lane.status.length - countFrames(lane);
  return lanes.filter((lane) => lane.prompted.length).reduce((most, lane) => Math.max(most, missing(lane)), 0);
}

/** Return how many frames a correction has made out of date. */
export function numStale(lanes: readonly TimelineObject[]): number {
  const ranges = lanes.flatMap((lane) => lane.stale).sort((a, b) => a[0] - b[0]);
  let count = 0;
  let counted = 0;
  for (const [start, stop] of ranges) {
    count += Math.max(0, stop - Math.max(start, counted));
    counted = Math.max(counted, stop);
  }
  return count;
}
