/** What has been said of objects on the frame that is shown, and what that asks of a decoder. */

import type { Point, PromptBody, PromptsOnFrame } from "../api/types";
import { requestOf } from "../decoder/prompts";
import type { DecodeRequest } from "../decoder/protocol";
import { getSession } from "./session";
import { getState } from "./store";

export const NO_PROMPT: PromptBody = { points: [], labels: [], box: null, candidate: null };

export function promptOf(objectId: number | null): PromptBody {
  return objectId === null ? NO_PROMPT : bodyOf(saidHere(), objectId);
}

/** Whether the page knows what has been said on the frame that is shown; a moment after going there it does not. */
export function isSaidKnown(): boolean {
  const { prompts, frame } = getState();
  return prompts.frame === frame;
}

const saidHere = (): PromptsOnFrame => (isSaidKnown() ? getState().prompts.byObject : {});

export function bodyOf(said: PromptsOnFrame, objectId: number): PromptBody {
  const { points, labels, box, candidate } = said[String(objectId)] ?? NO_PROMPT;
  return { points, labels, box, candidate };
}

export const withPoint = (before: PromptBody, point: Point, label: 0 | 1): PromptBody => ({
  ...before,
  points: [...before.points, point],
  labels: [...before.labels, label],
  // Further points correct the candidate that was chosen for the first.
  candidate: before.points.length ? before.candidate : null,
});

/** Whether the object's mask on this frame has been drawn by hand. */
export const hasMask = (objectId: number | null, said: PromptsOnFrame = saidHere()): boolean =>
  said[String(objectId)]?.has_mask === true;

/** Whether a mask is there that has come by tracking: then what the model remembers counts, and the page has none. */
export function isTracked(frame: number, objectId: number): boolean {
  const mask = maskOf(frame, objectId);
  return mask !== undefined && !mask.prompted;
}

const maskOf = (frame: number, objectId: number | null) =>
  getSession()
    ?.masks.get(frame)
    ?.objects.find((one) => one.object_id === objectId);

/** What a prompt asks of the decoder: the points that come in addition to what was said correct what there is. */
export function requestFor(
  frame: number,
  objectId: number | null,
  prompt: PromptBody,
  said: PromptsOnFrame = saidHere(),
): DecodeRequest {
  const before = getSession()?.said.get(`${frame}/${objectId}`) ?? null;
  const request = requestOf(prompt, before);
  const known = objectId === null ? NO_PROMPT : bodyOf(said, objectId);
  const isFirst = !known.points.length && !known.box;
  const mask = isFirst ? maskOf(frame, objectId) : undefined;
  return mask && mask.area > 0 ? { ...request, after: null, onto: mask.rle } : request;
}
