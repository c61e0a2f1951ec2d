/** The look of objects while strokes on them wait for the server: their masks with the strokes applied. */

import type { Rle } from "../../api/types";
import { type Loop, toPath, traceBitmap } from "../../lib/contour";
import { type Edit, fillLoops } from "../../lib/paint";
import { type Bitmap, decodeRle, emptyBitmap } from "../../lib/rle";
import type { Session } from "../model/session";
import { getState, type PendingMask } from "../model/store";
import { draftColor } from "../model/strokes";

/** An object on the shown frame: its mask, or the pending mask of a click, and the strokes drawn on it. */
interface Look {
  readonly objectId: number | null;
  readonly color: string;
  readonly base: Rle | PendingMask | null;
  readonly edits: readonly Edit[];
}

export function lookOf(session: Session, objectId: number | null): Look {
  const state = getState();
  const { frame } = state;
  const isOwn = <T extends { readonly objectId: number | null }>(item: T) => item.objectId === objectId;
  const strokes = state.strokes.filter((stroke) => stroke.frame === frame && isOwn(stroke));
  const pending = state.pendingMasks.find((mask) => mask.frame === frame && isOwn(mask));
  const mask = session.masks.get(frame)?.objects.find((shown) => shown.object_id === objectId);
  const color = state.objects.find((object) => object.id === objectId)?.color ?? strokes[0]?.color ?? draftColor(state);
  return { objectId, color, base: pending ?? mask?.rle ?? null, edits: strokes.map((stroke) => stroke.edit) };
}

/** Looks of the visible objects that have strokes on the shown frame. */
export function strokedLooks(session: Session): Look[] {
  const { strokes, frame, objects } = getState();
  const ids = new Set(strokes.filter((stroke) => stroke.frame === frame).map((stroke) => stroke.objectId));
  const isHidden = (id: number | null) => objects.some((object) => object.id === id && object.hidden);
  return [...ids].filter((id) => !isHidden(id)).map((id) => lookOf(session, id));
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
/** Outlines by their last stroke: the canvas is redrawn at every move of the pointer, and an outline is traced once. */
const outlines = new WeakMap<Edit, Outline>();

/** The outline of a look with strokes, in source pixels. */
export function outlineOfLook(look: Look, medium: Session["medium"]): Path2D {
  const last = look.edits[look.edits.length - 1];
  const base = look.base && "loops" in look.base ? look.base.loops : look.base;
  const count = look.edits.length;
  const cached = outlines.get(last);
  if (cached && cached.base === base && cached.count === count) return cached.path;
  const path = toPath(traceBitmap(bitmapOf(look, medium)), 1, 1);
  outlines.set(last, { base, count, path });
  return path;
}
