/** From the decoder's grid of logits to the size of the picture, like `masklet.masks.operations.upsample_logits`, and back. */

import type { Rle } from "../api/types";
import { decodeRle, encodeCounts } from "./rle";

/** For each pixel along a side, return the two grid samples around it and the weight of the second. */
function between(size: number, side: number): { low: Int32Array; high: Int32Array; weight: Float32Array } {
  const low = new Int32Array(size);
  const high = new Int32Array(size);
  const weight = new Float32Array(size);
  for (let i = 0; i < size; i++) {
    const at = Math.max(0, ((i + 0.5) * side) / size - 0.5);
    low[i] = Math.min(Math.floor(at), side - 1);
    high[i] = Math.min(low[i] + 1, side - 1);
    weight[i] = at - low[i];
  }
  return { low, high, weight };
}

/** Upsample bilinearly, pixel centres at one half; foreground above 0. Columns without foreground are skipped. */
export function upsampled(
  logits: Float32Array,
  side: number,
  width: number,
  height: number,
): { readonly rle: Rle; readonly area: number } {
  const hasAny = new Uint8Array(side);
  for (let i = 0; i < logits.length; i++) if (logits[i] > 0) hasAny[i % side] = 1;
  const across = between(width, side);
  const down = between(height, side);
  const column = new Float32Array(side);
  const counts: number[] = [];
  let run = 0;
  let inside = false;
  let area = 0;
  for (let x = 0; x < width; x++) {
    const [left, right, toRight] = [across.low[x], across.high[x], across.weight[x]];
    if (!hasAny[left] && !hasAny[right]) {
      if (inside) {
        counts.push(run);
        run = 0;
        inside = false;
      }
      run += height;
      continue;
    }
    for (let row = 0; row < side; row++) {
      const a = logits[row * side + left];
      column[row] = a + (logits[row * side + right] - a) * toRight;
    }
    for (let y = 0; y < height; y++) {
      const a = column[down.low[y]];
      const isInside = a + (column[down.high[y]] - a) * down.weight[y] > 0;
      if (isInside !== inside) {
        counts.push(run);
        run = 0;
        inside = isInside;
      }
      run++;
      if (isInside) area++;
    }
  }
  counts.push(run);
  return { rle: { size: [height, width], counts: encodeCounts(counts) }, area };
}

/** Logit of a pixel that certainly belongs to the mask. */
const CERTAIN = 10;

/** Return a mask as logits on the grid: each sample says how much of its part of the picture is inside. */
export function logitsOf(rle: Rle, side: number): Float32Array<ArrayBuffer> {
  const { width, height, data } = decodeRle(rle);
  const inside = new Float32Array(side * side);
  const total = new Float32Array(side * side);
  for (let y = 0, i = 0; y < height; y++) {
    const row = Math.floor((y * side) / height) * side;
    for (let x = 0; x < width; x++, i++) {
      const at = row + Math.floor((x * side) / width);
      inside[at] += data[i];
      total[at]++;
    }
  }
  // A picture smaller than the grid leaves samples without any pixel.
  return inside.map((count, i) => (total[i] ? (2 * count) / total[i] - 1 : -1) * CERTAIN);
}
