/** Keeps the decoder in the page ready for the shown frame, and asks it. */

import * as api from "../../api/client";
import type { LocalAnswer } from "../../decoder/client";
import type { DecodeRequest } from "../../decoder/protocol";
import { getSession, type Session } from "./session";
import { getState, setState, useWorkspace } from "./store";

let loading: AbortController | null = null;

const embeddingKey = (session: Session, frame: number): string =>
  `${session.medium.id}/${frame}/${getState().localMode ? "page" : "server"}`;

/** Get the embedding of the shown frame, from the server or (local mode) from the encoder in the page. */
export function refreshEmbedding(): void {
  const session = getSession();
  const { frame, tool, decoder, playing, localMode } = getState();
  loading?.abort();
  if (!session?.decoder || decoder.state !== "ready" || playing || (tool !== "click" && tool !== "box")) return;
  const key = embeddingKey(session, frame);
  const onReady = () => setState({ embedded: { frame, localMode } });
  if (session.decoder.isReady(key)) {
    onReady();
    return;
  }
  loading = new AbortController();
  const { width, height } = session.medium;
  const work = localMode
    ? encodeHere(session, key, frame, loading.signal)
    : session.decoder.loadEmbedding(key, api.embeddingUrl(session.medium.id, frame), width, height, loading.signal);
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

/** The last answer: a click where the pointer rested asks the same again. */
let latest: { readonly key: string; readonly answer: LocalAnswer } | null = null;

/** Return the answer to this request if it was the last one asked; needs no waiting. */
export function cachedAnswer(frame: number, request: DecodeRequest): LocalAnswer | null {
  const session = getSession();
  return session && latest?.key === requestKey(session, frame, request) ? latest.answer : null;
}

const requestKey = (session: Session, frame: number, request: DecodeRequest): string =>
  JSON.stringify([embeddingKey(session, frame), { ...request, candidate: null }]);

/**
 * Ask the decoder in the page; null where it is not ready for this frame.
 *
 * @param fullSize whether to compute the masks at the size of the picture, too.
 */
export async function localDecode(
  frame: number,
  request: DecodeRequest,
  fullSize = false,
): Promise<LocalAnswer | null> {
  const session = getSession();
  if (!session?.decoder) return null;
  const key = embeddingKey(session, frame);
  if (!session.decoder.isReady(key)) return null;
  const requested = requestKey(session, frame, request);
  const answer = await session.decoder.decode(key, request, fullSize);
  if (!answer.masks.length) return null;
  latest = { key: requested, answer };
  return answer;
}
