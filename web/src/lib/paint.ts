/** Brush, eraser and lasso on bitmaps. */

import type { Point } from "../api/types";
import type { Bitmap } from "./rle";

/** Adds to a mask, or removes from it, in place. */
export type Edit = (mask: Bitmap) => void;

/** Set all pixels within `radius` of the line from `a` to `b`. */
export function strokeLine(bitmap: Bitmap, a: Point, b: Point, radius: number, value: 0 | 1): void {
  const { width, height, data } = bitmap;
  const reach = Math.max(radius, 0.5);
  const x0 = Math.max(0, Math.floor(Math.min(a[0], b[0]) - reach));
  const x1 = Math.min(width - 1, Math.ceil(Math.max(a[0], b[0]) + reach));
  const y0 = Math.max(0, Math.floor(Math.min(a[1], b[1]) - reach));
  const y1 = Math.min(height - 1, Math.ceil(Math.max(a[1], b[1]) + reach));
  const [dx, dy] = [b[0] - a[0], b[1] - a[1]];
  const lengthSquared = dx * dx + dy * dy;
  for (let y = y0; y <= y1; y++) {
    for (let x = x0; x <= x1; x++) {
      const [px, py] = [x + 0.5 - a[0], y + 0.5 - a[1]];
      const t = lengthSquared > 0 ? Math.min(1, Math.max(0, (px * dx + py * dy) / lengthSquared)) : 0;
      const [ex, ey] = [px - t * dx, py - t * dy];
      if (ex * ex + ey * ey <= reach * reach) data[y * width + x] = value;
    }
  }
}

/** Set all pixels whose centre lies in the polygon (even-odd). */
export function fillPolygon(bitmap: Bitmap, polygon: readonly Point[], value: 0 | 1): void {
  fillLoops(bitmap, [polygon.flat()], value);
}

/**
 * Set all pixels whose centre lies in the loops (even-odd: holes are loops, too).
 *
 * @param loops x0, y0, x1, y1, ... of closed polygons
 * @param scale pixels of the bitmap that a unit of the loops is wide and high
 */
export function fillLoops(
  bitmap: Bitmap,
  loops: readonly ArrayLike<number>[],
  value: 0 | 1,
  scale: Point = [1, 1],
): void {
  const { width, height, data } = bitmap;
  const rows: number[][] = Array.from({ length: height }, () => []);
  for (const loop of loops) addCrossings(rows, loop, scale);
  for (const [row, crossings] of rows.entries()) {
    crossings.sort((p, q) => p - q);
    for (let i = 0; i + 1 < crossings.length; i += 2) {
      const from = Math.max(0, Math.ceil(crossings[i] - 0.5));
      const to = Math.min(width - 1, Math.ceil(crossings[i + 1] - 0.5) - 1);
      if (from <= to) data.fill(value, row * width + from, row * width + to + 1);
    }
  }
}

/** Add the x at which the loop's edges cross the middle of each row. */
function addCrossings(rows: readonly number[][], loop: ArrayLike<number>, [scaleX, scaleY]: Point): void {
  for (let i = 0; i < loop.length; i += 2) {
    const next = (i + 2) % loop.length;
    const [x0, y0] = [loop[i] * scaleX, loop[i + 1] * scaleY];
    const [x1, y1] = [loop[next] * scaleX, loop[next + 1] * scaleY];
    const first = Math.max(0, Math.ceil(Math.min(y0, y1) - 0.5));
    const stop = Math.min(rows.length, Math.ceil(Math.max(y0, y1) - 0.5));
    for (let row = first; row < stop; row++) rows[row].push(x0 + ((row + 0.5 - y0) / (y1 - y0)) * (x1 - x0));
  }
}
