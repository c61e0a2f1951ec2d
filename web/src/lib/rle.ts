/** COCO's compressed run lengths: runs along the columns, as a string of 6-bit characters. */

import type { Box, Rle } from "../api/types";

/** A mask as bytes, row after row: 1 inside, 0 outside. */
export interface Bitmap {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array<ArrayBuffer>;
}

export function emptyBitmap(width: number, height: number): Bitmap {
  return { width, height, data: new Uint8Array(width * height) };
}

/** Return lengths of alternating runs, the first one outside the mask. Source: pycocotools, rleFrString. */
export function decodeCounts(text: string): number[] {
  const counts: number[] = [];
  let at = 0;
  while (at < text.length) {
    let value = 0;
    let shift = 0;
    let more = true;
    while (more) {
      const code = text.charCodeAt(at++) - 48;
      value |= (code & 0x1f) << shift;
      more = (code & 0x20) !== 0;
      shift += 5;
      if (!more && (code & 0x10) !== 0 && shift < 32) value |= -1 << shift;
    }
    if (counts.length > 2) value += counts[counts.length - 2];
    counts.push(value);
  }
  return counts;
}

/** Inverse of `decodeCounts`. */
export function encodeCounts(counts: readonly number[]): string {
  let text = "";
  for (let i = 0; i < counts.length; i++) {
    let value = i > 2 ? counts[i] - counts[i - 2] : counts[i];
    let more = true;
    while (more) {
      let code = value & 0x1f;
      value >>= 5;
      more = (code & 0x10) !== 0 ? value !== -1 : value !== 0;
      if (more) code |= 0x20;
      text += String.fromCharCode(code + 48);
    }
  }
  return text;
}

/** @param stride keep every n-th row and column only: a smaller bitmap for drawing far out. */
export function decodeRle(rle: Rle, stride = 1): Bitmap {
  const [fullHeight, fullWidth] = rle.size;
  const width = Math.ceil(fullWidth / stride);
  const height = Math.ceil(fullHeight / stride);
  const data = new Uint8Array(width * height);
  const counts = decodeCounts(rle.counts);
  let start = 0;
  for (let run = 0; run < counts.length; run++) {
    const stop = start + counts[run];
    if (run % 2 === 1) {
      // A run may continue in the next column.
      for (let at = start; at < stop; ) {
        const x = Math.floor(at / fullHeight);
        const top = at - x * fullHeight;
        const bottom = Math.min(fullHeight, top + stop - at);
        if (x % stride === 0) {
          const column = x / stride;
          for (let y = Math.ceil(top / stride); y * stride < bottom; y++) data[y * width + column] = 1;
        }
        at += bottom - top;
      }
    }
    start = stop;
  }
  return { width, height, data };
}

export function encodeRle(bitmap: Bitmap): Rle {
  const { width, height, data } = bitmap;
  const counts: number[] = [];
  let inside = 0;
  let run = 0;
  for (let x = 0; x < width; x++) {
    for (let y = 0; y < height; y++) {
      if (data[y * width + x] !== inside) {
        counts.push(run);
        run = 0;
        inside = 1 - inside;
      }
      run++;
    }
  }
  counts.push(run);
  return { size: [height, width], counts: encodeCounts(counts) };
}

/** Return whether a pixel of the source lies in the mask, without making a bitmap. */
export function rleContains(rle: Rle, x: number, y: number): boolean {
  const [height, width] = rle.size;
  if (x < 0 || y < 0 || x >= width || y >= height) return false;
  const target = Math.floor(x) * height + Math.floor(y);
  let start = 0;
  let inside = false;
  for (const count of decodeCounts(rle.counts)) {
    start += count;
    if (target < start) return inside;
    inside = !inside;
  }
  return false;
}

const boxes = new WeakMap<Rle, Box>();

/** Return the box around a mask that is not empty: left, top, right, bottom. */
export function rleBox(rle: Rle): Box {
  const cached = boxes.get(rle);
  if (cached) return cached;
  const [height, width] = rle.size;
  let [x0, y0, x1, y1] = [width, height, 0, 0];
  let start = 0;
  decodeCounts(rle.counts).forEach((count, run) => {
    const last = start + count - 1;
    if (run % 2 === 1 && count > 0) {
      const [left, right] = [Math.floor(start / height), Math.floor(last / height)];
      // A run that continues in the next column has the bottom of one and the top of the other.
      const [top, bottom] = left === right ? [start % height, last % height] : [0, height - 1];
      [x0, y0, x1, y1] = [Math.min(x0, left), Math.min(y0, top), Math.max(x1, right + 1), Math.max(y1, bottom + 1)];
    }
    start += count;
  });
  const box = [x0, y0, x1, y1] as const;
  boxes.set(rle, box);
  return box;
}
