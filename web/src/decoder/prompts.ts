/** Prompts as the decoder's arrays, laid out as in `masklet.engine.staged._tokens`. */

import type { PromptBody } from "../api/types";
import type { DecodeRequest } from "./protocol";

const PADDING = -1;
const BOX_TOP_LEFT = 2;
const BOX_BOTTOM_RIGHT = 3;

interface Tokens {
  /** x, y of each point, in pixels of the model's square input. */
  readonly points: Float32Array<ArrayBuffer>;
  readonly labels: BigInt64Array<ArrayBuffer>;
  /** Number of tokens without padding: a box is two. */
  readonly numTokens: number;
}

/** Return the points that the decoder sees as clicks, and their labels, as `masklet.Prompt.clicks` does. */
export const clicksOf = ({ points, labels }: PromptBody): Pick<PromptBody, "points" | "labels"> => ({ points, labels });

export function toTokens(request: PromptBody, width: number, height: number, imageSize: number): Tokens {
  const points: number[] = [];
  const labels: number[] = [];
  if (request.box) {
    points.push(...request.box);
    labels.push(BOX_TOP_LEFT, BOX_BOTTOM_RIGHT);
  }
  const clicks = clicksOf(request);
  clicks.points.forEach(([x, y], i) => {
    points.push(x, y);
    labels.push(clicks.labels[i]);
  });
  const numTokens = labels.length;
  const padding = numTokens ? 1 : 2;
  for (let i = 0; i < padding; i++) {
    points.push(0, 0);
    labels.push(PADDING);
  }
  const square = Float32Array.from(points, (value, i) => (value * imageSize) / (i % 2 === 0 ? width : height) + 0.5);
  return { points: square, labels: BigInt64Array.from(labels, BigInt), numTokens };
}

/**
 * Choose among the decoder's four masks, best first: all three of the ambiguous ones for at most one point and no box,
 * else the single one, or the best of the three where that is not stable. Source: `masklet.engine.staged._choose`.
 */
export function chooseMasks(ious: ArrayLike<number>, numTokens: number, isStable: boolean): number[] {
  if (numTokens > 1 && isStable) return [0];
  const ranked = [1, 2, 3].filter((row) => row < ious.length).sort((a, b) => ious[b] - ious[a]);
  return numTokens > 1 ? ranked.slice(0, 1) : ranked;
}

/** Return the decode for a prompt, given the previous one of the same object on the same frame. */
export function requestOf(prompt: PromptBody, before: DecodeRequest | null): DecodeRequest {
  for (let earlier = before; earlier; earlier = earlier.previous) {
    if (corrects(prompt, earlier)) return { ...prompt, previous: earlier, mask: null };
  }
  if (!before) return asClicks(prompt);
  const isChosen = prompt.candidate !== null && prompt.points.length > 1;
  const first = isChosen ? { ...firstOf(prompt, 1), previous: null, mask: null } : null;
  return { ...prompt, previous: first, mask: null };
}

/** Return whether the prompt is the earlier one with points added: they then correct its answer. */
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

/** Decode a prompt whose history is unknown as if it had been made click by click. */
function asClicks(prompt: PromptBody): DecodeRequest {
  const first = prompt.box ? 0 : 1;
  let request: DecodeRequest = { ...firstOf(prompt, first), previous: null, mask: null };
  for (let count = first + 1; count <= prompt.points.length; count++) {
    request = { ...firstOf(prompt, count), previous: request, mask: null };
  }
  return request;
}
