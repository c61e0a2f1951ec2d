/** Prompts as the decoder's arrays, as `masklet.engine.staged._tokens` lays them out. */

import type { PromptBody } from "../api/types";
import type { DecodeRequest } from "./protocol";

const PADDING = -1;
const BOX_TOP_LEFT = 2;
const BOX_BOTTOM_RIGHT = 3;

export interface Tokens {
  /** x, y of each, in pixels of the model's square. */
  readonly points: Float32Array<ArrayBuffer>;
  readonly labels: BigInt64Array<ArrayBuffer>;
}

export function toTokens(
  request: Pick<DecodeRequest, "points" | "labels" | "box">,
  width: number,
  height: number,
  imageSize: number,
): Tokens {
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

/**
 * Which of the decoder's four masks count, best first: three for at most one point and no box, else the single one;
 * or, where that is not stable, the best of the three. As `masklet.engine.staged._choose` has it.
 */
export function chooseMasks(ious: ArrayLike<number>, numTokens: number, isStable: boolean): number[] {
  if (numTokens > 1 && isStable) return [0];
  const ranked = [1, 2, 3].filter((row) => row < ious.length).sort((a, b) => ious[b] - ious[a]);
  return numTokens > 1 ? ranked.slice(0, 1) : ranked;
}

/** The decode that a prompt means, given the one before it of the same object on the same frame. */
export function requestOf(prompt: PromptBody, before: DecodeRequest | null): DecodeRequest {
  for (let earlier = before; earlier; earlier = earlier.after) {
    if (corrects(prompt, earlier)) return { ...prompt, after: earlier, onto: null };
  }
  if (!before) return asClicks(prompt);
  const isChosen = prompt.candidate !== null && prompt.points.length > 1;
  return { ...prompt, after: isChosen ? { ...firstOf(prompt, 1), after: null, onto: null } : null, onto: null };
}

/** Whether the prompt is the earlier one with more points: then they correct the answer to that. */
function corrects(prompt: PromptBody, earlier: DecodeRequest): boolean {
  const count = earlier.points.length;
  return (
    prompt.points.length > count &&
    earlier.points.every(([x, y], i) => {
      const [px, py] = prompt.points[i];
      return px === x && py === y && prompt.labels[i] === earlier.labels[i];
    }) &&
    String(prompt.box) === String(earlier.box) &&
    (prompt.candidate === null || prompt.candidate === earlier.candidate)
  );
}

const firstOf = (prompt: PromptBody, count: number): PromptBody => ({
  ...prompt,
  points: prompt.points.slice(0, count),
  labels: prompt.labels.slice(0, count),
});

/** A prompt of which nobody knows how it came about: most likely click by click. */
function asClicks(prompt: PromptBody): DecodeRequest {
  const first = prompt.box ? 0 : 1;
  let request: DecodeRequest = { ...firstOf(prompt, first), after: null, onto: null };
  for (let count = first + 1; count <= prompt.points.length; count++) {
    request = { ...firstOf(prompt, count), after: request, onto: null };
  }
  return request;
}
