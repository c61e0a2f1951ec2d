/** Brush, eraser and lasso on bitmaps. */

import type { Point } from "../api/types";
import type { Bitmap } from "./rle";

/** Set all pixels within `radius` of the way from `a` to `b`. */
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
  const { width, height, data } = bitmap;
  const top = Math.max(0, Math.floor(Math.min(...polygon.map((point) => point[1]))));
  const bottom = Math.min(height - 1, Math.ceil(Math.max(...polygon.map((point) => point[1]))));
  for (let row = top; row <= bottom; row++) {
    const y = row + 0.5;
    const crossings: number[] = [];
    polygon.forEach(([x0, y0], i) => {
      const [x1, y1] = polygon[(i + 1) % polygon.length];
      if (y0 <= y !== y1 <= y) crossings.push(x0 + ((y - y0) / (y1 - y0)) * (x1 - x0));
    });
    crossings.sort((p, q) => p - q);
    for (let i = 0; i + 1 < crossings.length; i += 2) {
      const from = Math.max(0, Math.ceil(crossings[i] - 0.5));
      const to = Math.min(width - 1, Math.ceil(crossings[i + 1] - 0.5) - 1);
      if (from <= to) data.fill(value, row * width + from, row * width + to + 1);
    }
  }
}
