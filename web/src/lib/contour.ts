/** Outlines of masks as closed polygons, so that fill and line are crisp at any zoom. */

import type { Bitmap } from "./rle";

/** x0, y0, x1, y1, ... of one closed polygon, in pixels of the grid. Holes are polygons too (fill with evenodd). */
export type Loop = Float32Array;

// East, south, west, north: the steps along the cracks between pixels, with the inside on the right.
const STEP_X = [1, 0, -1, 0];
const STEP_Y = [0, 1, 0, -1];
// From the vertex at which a step starts, the pixel to its right and the one to its left.
const RIGHT_X = [0, -1, -1, 0];
const RIGHT_Y = [0, 0, -1, -1];
const LEFT_X = [0, 0, -1, -1];
const LEFT_Y = [-1, 0, 0, -1];

/**
 * Follow the cracks between inside and outside; each crack gives one vertex.
 *
 * @param crossing position of the outline between an inside pixel and the outside pixel next to it, 0..1.
 */
function trace(
  width: number,
  height: number,
  isInside: (x: number, y: number) => boolean,
  crossing: (xIn: number, yIn: number, xOut: number, yOut: number) => number,
): Loop[] {
  const seen = new Uint8Array(width * height); // 1: the crack above this pixel was followed
  const loops: Loop[] = [];
  for (let y0 = 0; y0 < height; y0++) {
    for (let x0 = 0; x0 < width; x0++) {
      if (seen[y0 * width + x0] || !isInside(x0, y0) || isInside(x0, y0 - 1)) continue;
      const vertices: number[] = [];
      let x = x0;
      let y = y0;
      let direction = 0;
      do {
        const xIn = x + RIGHT_X[direction];
        const yIn = y + RIGHT_Y[direction];
        const xOut = x + LEFT_X[direction];
        const yOut = y + LEFT_Y[direction];
        if (direction === 0) seen[yIn * width + xIn] = 1;
        const t = crossing(xIn, yIn, xOut, yOut);
        vertices.push(xIn + 0.5 + (xOut - xIn) * t, yIn + 0.5 + (yOut - yIn) * t);
        x += STEP_X[direction];
        y += STEP_Y[direction];
        if (!isInside(x + RIGHT_X[direction], y + RIGHT_Y[direction])) direction = (direction + 1) % 4;
        else if (isInside(x + LEFT_X[direction], y + LEFT_Y[direction])) direction = (direction + 3) % 4;
      } while (x !== x0 || y !== y0 || direction !== 0);
      loops.push(withoutStraights(vertices));
    }
  }
  return loops;
}

function withoutStraights(vertices: readonly number[]): Loop {
  const count = vertices.length / 2;
  const kept: number[] = [];
  for (let i = 0; i < count; i++) {
    const before = 2 * ((i + count - 1) % count);
    const after = 2 * ((i + 1) % count);
    const x = vertices[2 * i];
    const y = vertices[2 * i + 1];
    const turn =
      (x - vertices[before]) * (vertices[after + 1] - y) - (y - vertices[before + 1]) * (vertices[after] - x);
    if (Math.abs(turn) > 1e-6) kept.push(x, y);
  }
  return Float32Array.from(kept.length >= 6 ? kept : vertices);
}

export function traceBitmap(bitmap: Bitmap): Loop[] {
  const { width, height, data } = bitmap;
  const isInside = (x: number, y: number) => x >= 0 && y >= 0 && x < width && y < height && data[y * width + x] === 1;
  return trace(width, height, isInside, () => 0.5);
}

/** Trace where logits cross 0, between their samples: as smooth as the logits, and cheap. */
export function traceLogits(logits: Float32Array, width: number, height: number): Loop[] {
  const inGrid = (x: number, y: number) => x >= 0 && y >= 0 && x < width && y < height;
  const isInside = (x: number, y: number) => inGrid(x, y) && logits[y * width + x] > 0;
  return trace(width, height, isInside, (xIn, yIn, xOut, yOut) => {
    if (!inGrid(xOut, yOut)) return 0.5;
    const inside = logits[yIn * width + xIn];
    return inside / (inside - logits[yOut * width + xOut]);
  });
}

export function toPath(loops: readonly Loop[], scaleX: number, scaleY: number): Path2D {
  const path = new Path2D();
  for (const loop of loops) {
    path.moveTo(loop[0] * scaleX, loop[1] * scaleY);
    for (let i = 2; i < loop.length; i += 2) path.lineTo(loop[i] * scaleX, loop[i + 1] * scaleY);
    path.closePath();
  }
  return path;
}
