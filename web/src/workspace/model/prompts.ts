/** Prompts on the shown frame, and the request that a prompt makes to the decoder in the page. */

import type { Point, PromptBody, PromptsOnFrame } from "../../api/types";
import { clicksOf, requestOf } from "../../decoder/prompts";
import type { DecodeRequest } from "../../decoder/protocol";
import { getSession } from "./session";
import { getState, setState } from "./store";

export { clicksOf };

export const EMPTY_PROMPT: PromptBody = { points: [], labels: [], box: null, candidate: null };

/** Return the prompt of an object on the shown frame; empty for a new object. */
export function promptOf(objectId: number | null): PromptBody {
  return objectId === null ? EMPTY_PROMPT : promptIn(promptsHere(), objectId);
}

/** Return whether the page has the prompts of the shown frame; not so in the first moment after going there. */
export function arePromptsLoaded(): boolean {
  const { prompts, frame } = getState();
  return prompts.frame === frame;
}

const promptsHere = (): PromptsOnFrame => (arePromptsLoaded() ? getState().prompts.byObject : {});

export function promptIn(prompts: PromptsOnFrame, objectId: number): PromptBody {
  const { has_mask, ...prompt } = prompts[String(objectId)] ?? { ...EMPTY_PROMPT, has_mask: false };
  return prompt;
}

export const withPoint = (before: PromptBody, point: Point, label: 0 | 1): PromptBody => ({
  ...before,
  points: [...before.points, point],
  labels: [...before.labels, label],
  // Further points correct the candidate that was chosen for the first.
  candidate: before.points.length ? before.candidate : null,
});

/** Return whether the object's mask on this frame was drawn by hand. */
export const isDrawnByHand = (objectId: number | null, prompts: PromptsOnFrame = promptsHere()): boolean =>
  prompts[String(objectId)]?.has_mask === true;

/** Return whether the object's mask was tracked: a prompt then also depends on the memory, which the page does not have. */
export function isTracked(frame: number, objectId: number): boolean {
  const mask = maskOf(frame, objectId);
  return mask !== undefined && !mask.prompted;
}

const maskOf = (frame: number, objectId: number | null) =>
  getSession()
    ?.masks.get(frame)
    ?.objects.find((mask) => mask.object_id === objectId);

/** Return the decoder's request for a prompt; points added to an earlier prompt correct the mask of that. */
export function requestFor(
  frame: number,
  objectId: number | null,
  prompt: PromptBody,
  prompts: PromptsOnFrame = promptsHere(),
): DecodeRequest {
  const before = getSession()?.decodeRequest(frame, objectId) ?? null;
  const request = requestOf(prompt, before);
  const earlier = objectId === null ? EMPTY_PROMPT : promptIn(prompts, objectId);
  const isFirst = !earlier.points.length && !earlier.box;
  const mask = isFirst ? maskOf(frame, objectId) : undefined;
  return mask && mask.area > 0 ? { ...request, previous: null, mask: mask.rle } : request;
}

/** Show a prompt before the server has it; null removes the object's prompt on this frame. */
export function rememberPrompt(
  frame: number,
  objectId: number,
  prompt: (PromptBody & { readonly has_mask?: boolean }) | null,
): void {
  setState((state) => {
    const objects = state.objects.map((object) => {
      if (object.id !== objectId) return object;
      const others = object.prompted_frames.filter((prompted) => prompted !== frame);
      return { ...object, prompted_frames: prompt ? [...others, frame] : others };
    });
    if (state.prompts.frame !== frame) return { objects };
    const byObject = { ...state.prompts.byObject };
    if (prompt) byObject[String(objectId)] = { has_mask: false, ...prompt };
    else delete byObject[String(objectId)];
    return { objects, prompts: { frame, byObject } };
  });
}
