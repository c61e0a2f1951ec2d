/** Prompts as the decoder's arrays, as `masklet.engine.staged._tokens` lays them out. */

import type { DecodeRequest } from "./protocol";

const PADDING = -1;
const BOX_TOP_LEFT = 2;
const BOX_BOTTOM_RIGHT = 3;

export interface Tokens {
  /** x, y of each, in pixels of the model's square. */
  readonly points: Float32Array<ArrayBuffer>;
  readonly labels: BigInt64Array<ArrayBuffer>;
}

export function toTokens(request: DecodeRequest, width: number, height: number, imageSize: number): Tokens {
  const points: number[] = [];
  const labels: number[] = [];
  if (request.box) {
    points.push(...request.box);
    labels.push(BOX_TOP_LEFT, BOX_BOTTOM_RIGHT);
  }
  request.points.forEach(([x, y], i) => {
    points.push(x, y);
    labels.push(request.labels[i]);
  });
  const padding = labels.length ? 1 : 2;
  for (let i = 0; i < padding; i++) {
    points.push(0, 0);
    labels.push(PADDING);
  }
  const square = Float32Array.from(points, (value, i) => (value * imageSize) / (i % 2 === 0 ? width : height) + 0.5);
  return { points: square, labels: BigInt64Array.from(labels, BigInt) };
}

/** Which of the decoder's four masks count, best first: three for at most one point and no box, else the single one. */
export function chooseMasks(ious: ArrayLike<number>, numTokens: number): number[] {
  if (numTokens > 1) return [0];
  return [1, 2, 3].filter((row) => row < ious.length).sort((a, b) => ious[b] - ious[a]);
}
