/** Going from frame to frame. */

import * as api from "../api/client";
import { nextToCheck } from "../lib/review";
import { toast, toastError } from "../state/app";
import { rememberFrame } from "../state/route";
import { refreshEmbedding } from "./embedding";
import { select } from "./selection";
import { getSession } from "./session";
import { getState, type Range, setState } from "./store";
import { refreshPrompts } from "./sync";

export function seek(frame: number, options: { byPlayback?: boolean; byTracking?: boolean } = {}): void {
  const { medium, frame: before, compare } = getState();
  if (!medium) return;
  const at = Math.min(Math.max(Math.round(frame), 0), medium.num_frames - 1);
  if (!options.byTracking) setState({ following: false });
  if (!options.byPlayback) setState({ playing: false });
  if (at === before) return;
  setState({ frame: at, hover: null, candidates: null, pending: [] });
  const ahead = options.byPlayback ? 60 : 0;
  getSession()?.masks.ensure(at, ahead);
  if (compare === "before") getSession()?.earlier.ensure(at, ahead);
  rememberFrame(at);
  settle();
}

let settling: ReturnType<typeof setTimeout> | null = null;
/** Prompts and the embedding are asked for only where somebody stays for a moment. */
export function settle(): void {
  if (settling !== null) clearTimeout(settling);
  settling = setTimeout(() => {
    settling = null;
    if (!getSession() || getState().playing) return;
    refreshPrompts().catch(toastError);
    refreshEmbedding();
  }, 90);
}

export const step = (by: number): void => seek(getState().frame + by);

/** The next or previous frame on which somebody has said something. */
export function seekPrompted(direction: 1 | -1): void {
  const { timeline, frame, selected } = getState();
  const frames = (timeline?.objects ?? [])
    .filter((lane) => selected === null || lane.object_id === selected)
    .flatMap((lane) => lane.prompted)
    .filter((prompted) => (direction > 0 ? prompted > frame : prompted < frame))
    .sort((a, b) => (a - b) * direction);
  if (frames.length) seek(frames[0]);
}

export async function seekNextToCheck(): Promise<void> {
  const session = getSession();
  if (!session) return;
  try {
    const suggestions = await api.getSuggestions(session.medium.id, 5);
    if (getSession() !== session) return;
    const next = nextToCheck(suggestions, getState().frame);
    if (!next) {
      toast("Nothing to check: no tracked frame stands out.");
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
  if (playing) settle();
}

export function setInPoint(): void {
  const { frame, range, medium } = getState();
  if (!medium) return;
  setState({ range: { start: frame, stop: range && range.stop > frame ? range.stop : medium.num_frames } });
}

export function setOutPoint(): void {
  const { frame, range } = getState();
  setState({ range: { start: range && range.start <= frame ? range.start : 0, stop: frame + 1 } });
}

export const setRange = (range: Range | null): void => setState({ range });
