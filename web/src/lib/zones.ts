/** Lines and regions that objects are counted over and in, and the shapes that show them. */

import type { CountRequest, Point } from "../api/types";

/** A line has two points, an arrow from the first to the second; a region has three or more corners. */
export interface Zone {
  readonly kind: "line" | "region";
  readonly name: string;
  readonly points: readonly Point[];
}

/** Return the zones as the server takes them. */
export function zonesBody(zones: readonly Zone[]): Pick<CountRequest, "lines" | "regions"> {
  return {
    lines: zones
      .filter((zone) => zone.kind === "line")
      .map(({ name, points }) => ({ name, start_xy: [...points[0]], end_xy: [...points[1]] })),
    regions: zones
      .filter((zone) => zone.kind === "region")
      .map(({ name, points }) => ({ name, points_xy: points.map((point) => [...point]) })),
  };
}

/** Return a name that no zone has, such as "line 2". */
export function freeName(kind: Zone["kind"], zones: readonly Zone[]): string {
  let number = 1;
  while (zones.some(({ name }) => name === `${kind} ${number}`)) number++;
  return `${kind} ${number}`;
}

/** Return whether two edges of a closed outline cross; edges that only touch do not. */
export function crossesItself(points: readonly Point[]): boolean {
  const end = (i: number): Point => points[(i + 1) % points.length];
  const side = (i: number, [x, y]: Point): number => {
    const [[x0, y0], [x1, y1]] = [points[i], end(i)];
    return Math.sign((x1 - x0) * (y - y0) - (y1 - y0) * (x - x0));
  };
  const splits = (i: number, j: number): boolean => side(i, points[j]) * side(i, end(j)) < 0;
  return points.some((_, i) => points.some((_, j) => splits(i, j) && splits(j, i)));
}

/** Return a zone's centre, where its name is written. */
export const centreOf = (points: readonly Point[]): Point => [
  points.reduce((sum, [x]) => sum + x, 0) / points.length,
  points.reduce((sum, [, y]) => sum + y, 0) / points.length,
];

/** Return the arrow from the middle of a line to its left side, where objects go that are counted as `in`. */
export function inArrow([[x0, y0], [x1, y1]]: readonly Point[], length: number): readonly [Point, Point] {
  const middle: Point = [(x0 + x1) / 2, (y0 + y1) / 2];
  const size = Math.hypot(x1 - x0, y1 - y0) || 1;
  return [middle, [middle[0] + ((y1 - y0) / size) * length, middle[1] - ((x1 - x0) / size) * length]];
}

/**
 * Return the path of a step diagram, in a box of `width` x `height`, for numbers on equally spaced frames. Where there
 * are more numbers than pixels, the largest of each pixel is drawn.
 */
export function stepPath(values: readonly number[], highest: number, width: number, height: number): string {
  const buckets = Math.min(values.length, Math.max(1, Math.round(width)));
  const tops: number[] = [];
  for (let bucket = 0; bucket < buckets; bucket++) {
    const start = Math.floor((bucket * values.length) / buckets);
    const stop = Math.max(start + 1, Math.floor(((bucket + 1) * values.length) / buckets));
    let largest = values[start];
    for (let index = start + 1; index < stop; index++) largest = Math.max(largest, values[index]);
    tops.push(largest);
  }
  const y = (value: number) => round(height - (value / Math.max(highest, 1)) * height);
  return tops.map((value, i) => `${i ? "V" : "M0,"}${y(value)}H${round(((i + 1) * width) / buckets)}`).join("");
}

const round = (value: number): number => Math.round(value * 100) / 100;
