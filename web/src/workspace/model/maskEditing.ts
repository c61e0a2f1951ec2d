/** Masks edited by hand with brush, eraser and lasso. */

import * as api from "../../api/client";
import type { Rle, SegmentObject } from "../../api/types";
import type { Edit } from "../../lib/paint";
import { type Bitmap, decodeRle, emptyBitmap, encodeRle } from "../../lib/rle";
import { ensureEditable, resolveTarget } from "./editTarget";
import { createObject } from "./objects";
import { EMPTY_PROMPT, rememberPrompt } from "./prompts";
import { getSession, type Session } from "./session";
import { getState, selectedObject, setState } from "./store";
import { hideStroke, showStroke } from "./strokes";
import { change, isUndoPending } from "./sync";

/** Return whether the selected object may be drawn on; true for a new object. */
export function ensureDrawable(): boolean {
  const object = selectedObject(getState());
  return !object || ensureEditable(object);
}

/**
 * Return the selected object's mask on this frame, all changes so far included; null where it has none.
 *
 * Undefined while only the server knows it: the frame's masks are not loaded, or the server is computing this one.
 */
export function maskToEdit(): Rle | null | undefined {
  const session = getSession();
  const { frame } = getState();
  const object = selectedObject(getState());
  if (!session || isUndoPending()) return undefined;
  if (!object) return null;
  if (session.isMaskAwaited(frame, object.id)) return undefined;
  // The server has no masks of an object that it has not created.
  if (object.id >= 0 && !session.masks.isKnown(frame)) return undefined;
  const mask = session.masks.get(frame)?.objects.find((shown) => shown.object_id === object.id);
  return mask?.rle ?? null;
}

/**
 * Edit the selected object's mask here: at once where the page knows it, else on the server's mask in its turn.
 *
 * @param edited `maskToEdit` with the edit applied, where the caller has it.
 */
export function drawMask(edit: Edit, edited: Bitmap | null = null): void {
  const session = getSession();
  const { frame } = getState();
  const selected = selectedObject(getState());
  if (!session || (selected && !ensureEditable(selected))) return;
  setState({ candidates: null, playing: false });
  const before = maskToEdit();
  let drawn: DrawnMask | null = null;
  if (before !== undefined) {
    const target = selected ?? createObject();
    const rle = edited ? encodeRle(edited) : applyEdit(session, before, edit);
    drawn = { target, rle };
    showDrawn(session, frame, drawn);
    rememberPrompt(frame, target.id, { ...EMPTY_PROMPT, has_mask: true });
  } else if (selected) session.awaitMask(frame, selected.id);
  showStroke(drawn?.target.id ?? selected?.id ?? null, edit);
  const version = session.newVersion(frame, drawn?.target.id ?? selected?.id ?? null);
  const under = getState().pendingMasks.find(
    (pending) => pending.frame === frame && pending.objectId === selected?.id,
  )?.loops;
  const work = async (_: Session, key: string) => {
    // Applied once: a second try after a lost answer must not edit the result of the first.
    if (!drawn) {
      drawn = await drawOnSaved(session, frame, selected, edit, key);
      showDrawn(session, frame, drawn);
      // The pending mask of the click that was drawn on is part of the result now.
      setState((state) => ({ pendingMasks: state.pendingMasks.filter((pending) => pending.loops !== under) }));
    }
    const answer = await api.putMask(session.medium.id, frame, session.realId(drawn.target.id), drawn.rle, key);
    if (session.isLatest(frame, version)) session.showAnswer(answer.frame);
  };
  void change(work).then(() => hideStroke(edit));
}

interface DrawnMask {
  readonly target: SegmentObject;
  readonly rle: Rle;
}

const showDrawn = (session: Session, frame: number, { target, rle }: DrawnMask): void =>
  session.masks.put(frame, target.id, { rle, area: 1, confidence: 1, status: "present" });

/** Apply an edit to the mask that the server has. */
async function drawOnSaved(
  session: Session,
  frame: number,
  selected: SegmentObject | undefined,
  edit: Edit,
  key: string,
): Promise<DrawnMask> {
  const target = await resolveTarget(session, selected, key);
  const { frames } = await api.getMasks(session.medium.id, frame, frame + 1, false);
  const before = frames[0]?.objects.find((mask) => mask.object_id === target.id);
  return { target, rle: applyEdit(session, before?.rle ?? null, edit) };
}

function applyEdit({ medium }: Session, before: Rle | null, edit: Edit): Rle {
  const bitmap = before ? decodeRle(before) : emptyBitmap(medium.width, medium.height);
  edit(bitmap);
  return encodeRle(bitmap);
}
