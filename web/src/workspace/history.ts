/** Accepting masks, and going through the history. */

import * as api from "../api/client";
import type { HistoryStep } from "../api/types";
import { plural } from "../lib/text";
import { toast, toastError } from "../state/app";
import { seek } from "./places";
import { getSession } from "./session";
import { getState, setState } from "./store";
import { change, patiently, refreshSoon, takeNews } from "./sync";

export function acceptFrames(
  start: number,
  stop: number,
  accepted: boolean,
  objects: readonly number[] | null = null,
): void {
  void change(async (session, key) => {
    const ids = objects?.map((id) => session.realId(id)) ?? null;
    const { num_masks } = await api.accept(session.medium.id, { start, stop, accepted, objects: ids }, key);
    if (getSession() !== session) return;
    session.masks.invalidate();
    session.masks.ensure(getState().frame);
    // Of a range, what was up to date: that may be less than there are frames.
    const what = stop - start === 1 ? `frame ${start}` : plural(num_masks, "mask");
    toast(accepted ? `Accepted ${what}` : `${what[0].toUpperCase()}${what.slice(1)} open again`, {
      label: "Undo",
      run: () => void undo(),
    });
  });
}

export function isAccepted(frame: number): boolean {
  return getState().timeline?.accepted.some(([start, stop]) => start <= frame && frame < stop) ?? false;
}

export function toggleAccepted(): void {
  const { frame } = getState();
  acceptFrames(frame, frame + 1, !isAccepted(frame));
}

/** Accept the in-to-out range, or everything where there is none. */
export function acceptRange(): void {
  const { range, medium } = getState();
  if (medium) acceptFrames(range?.start ?? 0, range?.stop ?? medium.num_frames, true);
}

export const undo = (): Promise<void> => travel(api.undo, "Undone", "Nothing left to undo");
export const redo = (): Promise<void> => travel(api.redo, "Redone", "Nothing to redo");

/** Through the history, in order with all other changes; whether there is a step to go is for the server to say. */
async function travel(
  ask: (mid: string, key: string) => Promise<HistoryStep>,
  done: string,
  nothing: string,
): Promise<void> {
  const session = getSession();
  if (!session) return;
  const key = api.newKey();
  setState({ candidates: null, hover: null });
  session.isBehind = true;
  try {
    await session.inOrder(async () => {
      const step = await patiently(() => ask(session.medium.id, key));
      if (getSession() !== session) return;
      setState({ history: step });
      if (step.what === null) {
        refreshSoon();
        toast(nothing);
        return;
      }
      if (step.frame_index !== null) seek(step.frame_index);
      session.masks.invalidate();
      session.masks.ensure(getState().frame);
      if (!(await takeNews(session))) refreshSoon();
      if (step.object_id !== null && getState().objects.some((one) => one.id === step.object_id)) {
        setState({ selected: step.object_id, drafting: false });
      }
      toast(`${done}: ${step.what}`);
    });
  } catch (error) {
    refreshSoon();
    toastError(error);
  }
}
