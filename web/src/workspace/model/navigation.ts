/** Going from frame to frame: seeking, stepping, playing, the in-to-out range. */

import * as api from "../../api/client";
import { nextToReview } from "../../lib/review";
import { toast, toastError } from "../../state/app";
import { rememberFrame } from "../../state/route";
import { refreshEmbedding } from "./localDecoder";
import { select } from "./selection";
import { getSession } from "./session";
import { getState, type Range, setState } from "./store";
import { refreshPrompts } from "./sync";

export function seek(frame: number, options: { byPlayback?: boolean; byTracking?: boolean } = {}): void {
  const { medium, frame: before, compare } = getState();
  if (!medium) return;
  const target = Math.min(Math.max(Math.round(frame), 0), medium.num_frames - 1);
  if (!options.byTracking) setState({ following: false });
  if (!options.byPlayback) setState({ playing: false });
  if (target === before) return;
  setState({ frame: target, hover: null, candidates: null, pendingMasks: [] });
  const ahead = options.byPlayback ? 60 : 0;
  getSession()?.masks.ensure(target, ahead);
  if (compare === "before") getSession()?.earlierMasks.ensure(target, ahead);
  rememberFrame(target);
  refreshWhenSettled();
}

let timer: ReturnType<typeof setTimeout> | null = null;
/** Fetch prompts and embedding once the user has stayed on a frame for a moment. */
export function refreshWhenSettled(): void {
  if (timer !== null) clearTimeout(timer);
  timer = setTimeout(() => {
    timer = null;
    if (!getSession() || getState().playing) return;
    refreshPrompts().catch(toastError);
    refreshEmbedding();
  }, 90);
}

export const step = (by: number): void => seek(getState().frame + by);
export const seekFirst = (): void => seek(0);
export const seekLast = (): void => seek(Number.MAX_SAFE_INTEGER);

/** Go to the next or previous prompted frame, of the selected object if there is one. */
export function seekPrompted(direction: 1 | -1): void {
  const { timeline, frame, selected } = getState();
  const frames = (timeline?.objects ?? [])
    .filter((lane) => selected === null || lane.object_id === selected)
    .flatMap((lane) => lane.prompted)
    .filter((prompted) => (direction > 0 ? prompted > frame : prompted < frame))
    .sort((a, b) => (a - b) * direction);
  if (frames.length) seek(frames[0]);
}

export async function seekNextToReview(): Promise<void> {
  const session = getSession();
  if (!session) return;
  try {
    const suggestions = await api.getSuggestions(session.medium.id, 5);
    if (getSession() !== session) return;
    const next = nextToReview(suggestions, getState().frame);
    if (!next) {
      toast("No frames need review.");
      return;
    }
    seek(next.frame_index);
    select(next.object_id);
    toast(`Frame ${next.frame_index}: ${next.reason}`);
  } catch (error) {
    toastError(error);
  }
}

export function togglePlay(): void {
  const { playing, medium, frame, range, looping } = getState();
  if (!medium || medium.num_frames < 2) return;
  const stop = looping && range ? range.stop : medium.num_frames;
  if (!playing && frame >= stop - 1) seek(looping && range ? range.start : 0);
  setState({ playing: !playing, following: false, hover: null });
  if (playing) refreshWhenSettled();
}

/** End playback on a frame, as it does by itself at the end of the video. */
export function stopPlayingAt(frame: number): void {
  seek(frame, { byPlayback: true });
  setState({ playing: false });
}

export const toggleLooping = (): void => setState((state) => ({ looping: !state.looping }));

/** Start the range at the shown frame. */
export function setInPoint(): void {
  const { frame, range, medium } = getState();
  if (!medium) return;
  setState({ range: { start: frame, stop: range && range.stop > frame ? range.stop : medium.num_frames } });
}

/** End the range with the shown frame. */
export function setOutPoint(): void {
  const { frame, range } = getState();
  setState({ range: { start: range && range.start <= frame ? range.start : 0, stop: frame + 1 } });
}

export const setRange = (range: Range | null): void => setState({ range });

/** Move one end of the range to a frame; the other end stays. */
export function moveRangeEdge(edge: "start" | "stop", frame: number): void {
  const { range, medium } = getState();
  const { start, stop } = range ?? { start: 0, stop: medium?.num_frames ?? 1 };
  if (edge === "start") setRange({ start: Math.min(frame, stop - 1), stop });
  else setRange({ start, stop: Math.max(frame + 1, start + 1) });
}
