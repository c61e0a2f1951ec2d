/** The object that an edit changes: whether it may be changed, and which one it is when the edit is sent. */

import * as api from "../../api/client";
import type { SegmentObject } from "../../api/types";
import { toast } from "../../state/app";
import { acceptFrames } from "./acceptance";
import { createObjectNow, updateObject } from "./objects";
import { getSession, type Session } from "./session";
import { getState } from "./store";

/** Return whether an object may be changed on the shown frame; if not, tell the user. A hidden object is shown. */
export function ensureEditable(object: SegmentObject): boolean {
  const { frame } = getState();
  if (object.locked) {
    toast(`“${object.name}” is locked.`, { label: "Unlock", run: () => updateObject(object.id, { locked: false }) });
    return false;
  }
  const mask = getSession()
    ?.masks.get(frame)
    ?.objects.find((shown) => shown.object_id === object.id);
  if (mask?.accepted && mask.area > 0) {
    toast(`“${object.name}” is accepted here, so it is protected.`, {
      label: "Reopen",
      run: () => acceptFrames(frame, frame + 1, false, [object.id]),
    });
    return false;
  }
  if (object.hidden) updateObject(object.id, { hidden: false });
  return true;
}

/**
 * Return the object that an edit made during an undo changes, once its turn has come.
 *
 * Meanwhile the server may have created the object that was selected, or the undo may have removed it: then a new
 * object is created.
 */
export async function resolveTarget(
  session: Session,
  selectedThen: SegmentObject | undefined,
  key: string,
): Promise<SegmentObject> {
  const objects = await api.listObjects(session.medium.id);
  const find = (id: number | null | undefined) => objects.find((object) => object.id === id);
  const selectedNow = getSession() === session ? getState().selected : null;
  return (
    find(selectedThen && session.realIdIfKnown(selectedThen.id)) ??
    find(selectedNow) ??
    (await createObjectNow(session, key))
  );
}
