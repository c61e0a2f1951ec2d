/** Accepting masks as correct, and taking that back. */

import * as api from "../../api/client";
import { plural } from "../../lib/text";
import { toast } from "../../state/app";
import { undo } from "./history";
import { getSession } from "./session";
import { getState, selectedObjects } from "./store";
import { change } from "./sync";

/** @param objects ids; null means all objects. */
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
    // Only masks that are up to date are accepted: that may be fewer than the range has frames.
    const whole = session.medium.kind === "image" ? "this photo" : `frame ${start}`;
    const what = stop - start === 1 && !objects ? whole : plural(num_masks, "mask");
    toast(accepted ? `Accepted ${what}` : `Reopened ${what}`, {
      label: "Undo",
      run: () => void undo(),
    });
  });
}

function isAccepted(frame: number): boolean {
  return getState().timeline?.accepted.some(([start, stop]) => start <= frame && frame < stop) ?? false;
}

/** Return the selected objects if there are several; null means all. */
function chosenObjects(): readonly number[] | null {
  const objects = selectedObjects(getState());
  return objects.length > 1 ? objects.map((object) => object.id) : null;
}

/** Accept the shown frame, or reopen it; of several selected objects only these. */
export function toggleAccepted(): void {
  const { frame } = getState();
  const ids = chosenObjects();
  const masks = getSession()
    ?.masks.get(frame)
    ?.objects.filter((mask) => ids?.includes(mask.object_id));
  const isDone = ids ? (masks?.length ?? 0) > 0 && masks?.every((mask) => mask.accepted) : isAccepted(frame);
  acceptFrames(frame, frame + 1, !isDone, ids);
}

/** Accept the in-to-out range, or all frames where there is none; of several selected objects only these. */
export function acceptRange(): void {
  const { range, medium } = getState();
  if (medium) acceptFrames(range?.start ?? 0, range?.stop ?? medium.num_frames, true, chosenObjects());
}
