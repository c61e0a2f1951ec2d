/** Answers of the page's own decoder to a prompt: shown at once, and in local mode kept as the server's. */

import type { Candidate, LocalDecode, PromptBody } from "../../api/types";
import type { LocalAnswer } from "../../decoder/client";
import type { DecodeRequest, LocalMask } from "../../decoder/protocol";
import { cachedAnswer, localDecode } from "./localDecoder";
import { getSession } from "./session";
import { getState, setState } from "./store";

/** A prompt of an object on a frame. */
interface PromptPlace {
  readonly frame: number;
  /** Below 0 while the server has not created the object. */
  readonly objectId: number;
  readonly prompt: PromptBody;
}

/**
 * Show the page's mask for a prompt, and then, if it is to be kept, at the size of the picture.
 *
 * @param isCurrent whether the answer is still worth showing.
 * @param isKept whether the server will keep this mask rather than compute its own.
 */
export async function showLocalAnswer(
  place: PromptPlace,
  request: DecodeRequest,
  isCurrent: () => boolean,
  isKept: boolean,
): Promise<LocalAnswer | null> {
  const { frame } = place;
  const cached = cachedAnswer(frame, request);
  // Synchronously, so that it is on the screen with the very next repaint.
  if (cached) showPendingMask(place, cached);
  const answer = cached ?? (await localDecode(frame, request));
  if (answer && !cached && isCurrent()) showPendingMask(place, answer);
  if (!answer || !isKept) return answer;
  await nextPaint();
  const fullSize = await localDecode(frame, request, true);
  if (fullSize && isCurrent()) keepMask(place, fullSize);
  return fullSize;
}

/** Resolve when changes made so far are on the screen; at once in a hidden page, which is never painted. */
const nextPaint = (): Promise<void> =>
  new Promise((resolve) => {
    if (document.visibilityState === "hidden") resolve();
    else requestAnimationFrame(() => requestAnimationFrame(() => resolve()));
  });

const chosenMask = (answer: LocalAnswer, prompt: PromptBody): LocalMask | undefined =>
  answer.masks[prompt.candidate ?? 0] ?? answer.masks[0];

/** Show a mask until the server has answered. */
function showPendingMask({ frame, objectId: temporaryId, prompt }: PromptPlace, answer: LocalAnswer): void {
  const mask = chosenMask(answer, prompt);
  if (!mask) return;
  const objectId = getSession()?.realIdIfKnown(temporaryId) ?? temporaryId;
  setState((state) => ({
    pendingMasks: [
      ...state.pendingMasks.filter((pending) => pending.objectId !== objectId || pending.frame !== frame),
      { frame, objectId, loops: mask.loops, side: answer.side },
    ],
  }));
}

/** Show a full-size mask that the server will keep as it is. */
function keepMask({ frame, objectId: temporaryId, prompt }: PromptPlace, answer: LocalAnswer): void {
  const session = getSession();
  const mask = chosenMask(answer, prompt);
  const { decoder } = session ?? {};
  if (!session || !decoder || !mask?.fullSize) return;
  const objectId = session.realIdIfKnown(temporaryId);
  session.masks.put(frame, objectId, {
    rle: mask.fullSize.rle,
    area: mask.fullSize.area,
    confidence: decoder.confidence(mask, prompt),
    status: answer.objectScore > 0 ? "present" : "occluded",
  });
  session.resolveMask(frame, objectId);
  dropPendingMasks(frame, objectId);
  const list = answer.masks.flatMap((candidate) =>
    candidate.fullSize ? [{ rle: candidate.fullSize.rle, confidence: decoder.confidence(candidate, prompt) }] : [],
  );
  offerCandidates(frame, objectId, list, prompt);
}

/**
 * Offer the answers to a single positive click: it may mean a part or the whole. Other prompts have one answer.
 *
 * Nothing is offered to a user who has gone on to another object meanwhile.
 */
export function offerCandidates(frame: number, objectId: number, list: readonly Candidate[], prompt: PromptBody): void {
  const { selected } = getState();
  if (selected === null || getSession()?.realIdIfKnown(selected) !== objectId) return;
  const isAmbiguous = list.length > 1 && prompt.labels[0] === 1;
  setState({ candidates: isAmbiguous ? { frame, objectId, list, chosen: prompt.candidate ?? 0 } : null });
}

/** Return the answer in the form in which the server keeps it. */
export function toLocalDecode(answer: LocalAnswer | null | undefined, prompt: PromptBody): LocalDecode | null {
  const mask = answer ? chosenMask(answer, prompt) : null;
  if (!answer || !mask?.fullSize) return null;
  const { rle, logits } = mask.fullSize;
  const iou_prediction = Math.min(1, Math.max(0, mask.iou));
  return { rle, logits, iou_prediction, object_score: answer.objectScore };
}

/** @param objectId null drops those of all objects. */
export const dropPendingMasks = (frame: number, objectId: number | null = null): void =>
  setState((state) => ({
    pendingMasks: state.pendingMasks.filter(
      (pending) => pending.frame !== frame || (objectId !== null && pending.objectId !== objectId),
    ),
  }));
