/** Keeps the decoder in the page ready for the frame that is looked at. */

import * as api from "../api/client";
import type { Point } from "../api/types";
import type { LocalAnswer } from "../decoder/client";
import type { DecodeRequest } from "../decoder/protocol";
import { promptOf, requestFor, withPoint } from "./said";
import { getSession, type Session } from "./session";
import { getState, selectedObject, setState, useWorkspace } from "./store";

let stop: AbortController | null = null;

const keyOf = (session: Session, frame: number): string =>
  `${session.medium.id}/${frame}/${getState().localMode ? "page" : "server"}`;

/** Have the embedding of the frame that is shown, made by the server or (local mode) here. */
export function refreshEmbedding(): void {
  const session = getSession();
  const { frame, tool, decoder, playing, localMode } = getState();
  stop?.abort();
  if (!session?.decoder || decoder.state !== "ready" || playing || (tool !== "click" && tool !== "box")) return;
  const key = keyOf(session, frame);
  const onReady = () => setState({ lookedAt: { frame, localMode } });
  if (session.decoder.isReady(key)) {
    onReady();
    return;
  }
  stop = new AbortController();
  const { width, height } = session.medium;
  const work = localMode
    ? encodeHere(session, key, frame, stop.signal)
    : session.decoder.takeEmbedding(key, api.embeddingUrl(session.medium.id, frame), width, height, stop.signal);
  work.then(onReady, (error: unknown) => {
    // Without it there is no hover preview; clicks still work by the server.
    if (!api.isAbort(error)) console.warn("no embedding of frame", frame, error);
  });
}

async function encodeHere(session: Session, key: string, frame: number, signal: AbortSignal): Promise<void> {
  const blob = await api.fetchBlob(api.frameUrl(session.medium.id, frame, null), signal);
  const bitmap = await createImageBitmap(blob);
  if (signal.aborted) return bitmap.close();
  await session.decoder?.encode(key, bitmap, session.medium.width, session.medium.height);
}

// The worker opens after the first frame is shown.
useWorkspace.subscribe((state, before) => {
  if (state.decoder.state === "ready" && before.decoder.state !== "ready") refreshEmbedding();
});

/** The last answer that came, for whoever asks the same again: who clicks where the pointer rested. */
let latest: { readonly place: string; readonly answer: LocalAnswer } | null = null;

/** An answer that need not be waited for. */
export function answerAtHand(frame: number, request: DecodeRequest): LocalAnswer | null {
  const session = getSession();
  return session && latest?.place === placeOf(session, frame, request) ? latest.answer : null;
}

const placeOf = (session: Session, frame: number, { points, labels, box, after, onto }: DecodeRequest): string =>
  JSON.stringify([keyOf(session, frame), points, labels, box, after, onto]);

/**
 * Ask the decoder in the page; null where it is not ready for this frame.
 *
 * @param whole whether the masks are wanted at the size of the picture, too.
 */
export async function localDecode(frame: number, request: DecodeRequest, whole = false): Promise<LocalAnswer | null> {
  const session = getSession();
  if (!session?.decoder) return null;
  const key = keyOf(session, frame);
  if (!session.decoder.isReady(key)) return null;
  const place = placeOf(session, frame, request);
  const answer = await session.decoder.decode(key, request, whole);
  if (!answer.masks.length) return null;
  latest = { place, answer };
  return answer;
}

let asking = false;
/** Grows with every click: what was asked before it is no longer of interest. */
let epoch = 0;
let next: { at: Point; label: 0 | 1 } | null = null;

/** Show what a click here would give. While one answer is worked out only the latest place is remembered. */
export function hoverAt(at: Point | null, label: 0 | 1): void {
  next = at && { at, label };
  if (!at) setState({ hover: null });
  else if (!asking) void answerHover();
}

/** What a click would ask, and of which object; null is a new one. */
function clickAt(at: Point, label: 0 | 1): { readonly id: number | null; readonly request: DecodeRequest } {
  const { frame, selected, drafting } = getState();
  const id = drafting ? null : selected;
  return { id, request: requestFor(frame, id, withPoint(promptOf(id), at, label)) };
}

/** The button or a finger is down: have the answer at hand when it goes up. Under a resting mouse it is there already. */
export function foresee(at: Point, label: 0 | 1): void {
  const { frame } = getState();
  const { request } = clickAt(at, label);
  if (!answerAtHand(frame, request)) void localDecode(frame, request);
}

async function answerHover(): Promise<void> {
  asking = true;
  try {
    while (next) {
      const { at, label } = next;
      const asked = epoch;
      next = null;
      if (selectedObject(getState())?.locked) return;
      const { frame } = getState();
      const { id, request } = clickAt(at, label);
      const answer = await localDecode(frame, request);
      const best = answer?.masks[0];
      if (getState().frame !== frame || getState().tool !== "click" || !answer) return;
      const hover = best
        ? { frame, loops: best.loops, side: answer.side, iou: best.iou, label, isFirst: id === null }
        : null;
      if (asked === epoch && hovering) setState({ hover });
    }
  } finally {
    asking = false;
  }
}

/** After a click the preview is gone until the pointer moves on. */
export function dropHover(): void {
  epoch++;
  next = null;
  setState({ hover: null });
}

let hovering = false;
/** Whether the pointer is over the canvas at all: an answer that comes after it left is not shown. */
export function setHovering(value: boolean): void {
  hovering = value;
  if (!value) hoverAt(null, 1);
}
