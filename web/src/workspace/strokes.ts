/** Strokes of brush, eraser and lasso that the server has not answered, shown as what they will be. */

import type { Rle } from "../api/types";
import { type Loop, toPath, traceBitmap } from "../lib/contour";
import { type Edit, fillLoops } from "../lib/paint";
import { type Bitmap, decodeRle, emptyBitmap } from "../lib/rle";
import type { Session } from "./session";
import { getState, type Pending, type Stroke, selectedObject, setState, type WorkspaceState } from "./store";

const NEW_OBJECT_COLOR = "#8ab4ff";

export const colorOfDraft = (state: WorkspaceState): string => selectedObject(state)?.color ?? NEW_OBJECT_COLOR;

/** @param objectId null where it is for the server to say whose mask is changed. */
export function showStroke(objectId: number | null, edit: Edit): void {
  setState((state) => {
    const stroke: Stroke = { frame: state.frame, objectId, color: colorOfDraft(state), edit };
    return { strokes: [...state.strokes, stroke] };
  });
}

/** It has been answered, or will not be. */
export function hideStroke(edit: Edit): void {
  setState((state) => ({ strokes: state.strokes.filter((one) => one.edit !== edit) }));
}

/** What an object looks like on the frame that is shown: its mask, or what the page makes of a click; and strokes on it. */
export interface Look {
  readonly objectId: number | null;
  readonly color: string;
  readonly base: Rle | Pending | null;
  readonly edits: readonly Edit[];
}

export function lookOf(session: Session, objectId: number | null): Look {
  const state = getState();
  const { frame } = state;
  const own = <T extends { readonly objectId: number | null }>(one: T) => one.objectId === objectId;
  const strokes = state.strokes.filter((one) => one.frame === frame && own(one));
  const pending = state.pending.find((one) => one.frame === frame && own(one));
  const mask = session.masks.get(frame)?.objects.find((one) => one.object_id === objectId);
  const color = state.objects.find((one) => one.id === objectId)?.color ?? strokes[0]?.color ?? colorOfDraft(state);
  return { objectId, color, base: pending ?? mask?.rle ?? null, edits: strokes.map((one) => one.edit) };
}

/** Of the objects that have strokes on the frame that is shown, and are not hidden. */
export function strokedLooks(session: Session): Look[] {
  const { strokes, frame, objects } = getState();
  const ids = new Set(strokes.filter((one) => one.frame === frame).map((one) => one.objectId));
  return [...ids].filter((id) => !objects.some((one) => one.id === id && one.hidden)).map((id) => lookOf(session, id));
}

export function bitmapOf({ base, edits }: Look, { width, height }: Session["medium"]): Bitmap {
  const bitmap = base && "counts" in base ? decodeRle(base) : emptyBitmap(width, height);
  if (base && "loops" in base) fillLoops(bitmap, base.loops, 1, [width / base.side, height / base.side]);
  for (const edit of edits) edit(bitmap);
  return bitmap;
}

interface Outline {
  readonly base: Rle | readonly Loop[] | null;
  readonly count: number;
  readonly path: Path2D;
}
/** By the last stroke. The canvas is drawn at every move of the pointer; this is traced once. */
const outlines = new WeakMap<Edit, Outline>();

/** The outline of a look with strokes, in source pixels. */
export function outlineOfLook(look: Look, medium: Session["medium"]): Path2D {
  const last = look.edits[look.edits.length - 1];
  const base = look.base && "loops" in look.base ? look.base.loops : look.base;
  const count = look.edits.length;
  const known = outlines.get(last);
  if (known && known.base === base && known.count === count) return known.path;
  const path = toPath(traceBitmap(bitmapOf(look, medium)), 1, 1);
  outlines.set(last, { base, count, path });
  return path;
}
