/** Masks of one medium as run lengths, fetched in stretches on demand, and their outlines. */

import * as api from "../api/client";
import type { FrameMasks, ObjectMask, Rle } from "../api/types";
import { toPath, traceBitmap } from "../lib/contour";
import { decodeRle } from "../lib/rle";

const STRETCH = 30;
const MAX_STRETCHES = 120;

const stretchOf = (frame: number): number => Math.floor(frame / STRETCH);

type MadeMask = Pick<ObjectMask, "rle" | "area" | "iou_prediction" | "object_score" | "status">;

/** A stretch that is on its way. */
interface Loading {
  readonly stop: AbortController;
  /** Frames that have become known in the meantime, and masks that were put on others: those are newer. */
  readonly frames: Set<number>;
  readonly masks: Map<number, Set<number>>;
}

export class MaskCache {
  private readonly frames = new Map<number, FrameMasks>();
  /** Stretches that are as the server has them, in order of use. */
  private readonly fresh = new Set<number>();
  /** Frames of other stretches that are as the server has them: it has answered about them. */
  private readonly answered = new Set<number>();
  private readonly loading = new Map<number, Loading>();
  private epoch = 0;

  constructor(
    private readonly mediumId: string,
    private readonly numFrames: number,
    private readonly onLoaded: () => void,
    private readonly onError: (error: unknown) => void,
    /** Each mask as it was before it last changed, rather than as it is. */
    private readonly before = false,
  ) {}

  get(frame: number): FrameMasks | undefined {
    return this.frames.get(frame);
  }

  /** Whether what is shown of a frame is what the server has there. */
  isKnown(frame: number): boolean {
    return this.fresh.has(stretchOf(frame)) || this.answered.has(frame);
  }

  /** The server has said what is on a frame. */
  set(masks: FrameMasks): void {
    this.answered.add(masks.frame_index);
    this.loading.get(stretchOf(masks.frame_index))?.frames.add(masks.frame_index);
    this.keep(masks);
  }

  private keep(masks: FrameMasks): void {
    this.frames.delete(masks.frame_index);
    this.frames.set(masks.frame_index, masks);
    this.forgetOldest();
    this.onLoaded();
  }

  /** Show a mask that was made here at once, before the server has taken it. */
  put(frame: number, objectId: number, made: MadeMask): void {
    const known = this.frames.get(frame);
    const mask: ObjectMask = {
      ...made,
      object_id: objectId,
      box: null,
      prompted: true,
      accepted: false,
      review: false,
    };
    const loading = this.loading.get(stretchOf(frame));
    loading?.masks.set(frame, (loading.masks.get(frame) ?? new Set()).add(objectId));
    const others = known?.objects.filter((one) => one.object_id !== objectId) ?? [];
    this.keep({ frame_index: frame, time_s: 0, accepted: false, ...known, objects: [...others, mask] });
  }

  /** An object has got its real name. */
  exchange(temporary: number, real: number): void {
    for (const masks of [...this.frames.values()]) {
      if (!masks.objects.some((mask) => mask.object_id === temporary)) continue;
      const rename = (mask: ObjectMask) => (mask.object_id === temporary ? { ...mask, object_id: real } : mask);
      this.loading.get(stretchOf(masks.frame_index))?.masks.get(masks.frame_index)?.add(real);
      this.keep({ ...masks, objects: masks.objects.map(rename) });
    }
  }

  /** Forget what one object had on a frame, at once, before the server has said so. */
  remove(frame: number, objectId: number): void {
    const masks = this.frames.get(frame);
    if (!masks) return;
    this.set({ ...masks, objects: masks.objects.filter((mask) => mask.object_id !== objectId) });
  }

  /** Everything may have changed. What is known is shown until the new comes. */
  invalidate(): void {
    this.epoch++;
    this.fresh.clear();
    this.answered.clear();
    for (const { stop } of this.loading.values()) stop.abort();
    this.loading.clear();
  }

  close(): void {
    this.invalidate();
  }

  /** See to it that the masks of `frame`, and then those after it, are here. */
  ensure(frame: number, ahead = 0): void {
    const first = stretchOf(frame);
    const last = stretchOf(Math.min(frame + ahead, this.numFrames - 1));
    for (let stretch = first; stretch <= last; stretch++) this.load(stretch);
  }

  private load(stretch: number): void {
    if (this.fresh.has(stretch)) {
      this.fresh.delete(stretch);
      this.fresh.add(stretch);
      return;
    }
    if (this.loading.has(stretch)) return;
    const stop = new AbortController();
    const { epoch } = this;
    const own: Loading = { stop, frames: new Set(), masks: new Map() };
    this.loading.set(stretch, own);
    const start = stretch * STRETCH;
    const end = Math.min(start + STRETCH, this.numFrames);
    api
      .getMasks(this.mediumId, start, end, this.before, stop.signal)
      .then(
        ({ frames }) => {
          if (epoch !== this.epoch) return;
          const came = new Map(frames.map((masks) => [masks.frame_index, masks]));
          for (let frame = start; frame < end; frame++)
            if (!own.frames.has(frame)) this.take(frame, came.get(frame), own);
          this.fresh.add(stretch);
          this.forgetOldest();
          this.onLoaded();
        },
        (error: unknown) => {
          if (!api.isAbort(error)) this.onError(error);
        },
      )
      .finally(() => {
        if (this.loading.get(stretch) === own) this.loading.delete(stretch);
      });
  }

  /** What the server has on a frame, but for the masks that have been put there meanwhile. */
  private take(frame: number, came: FrameMasks | undefined, { masks }: Loading): void {
    const put = masks.get(frame);
    const shown = this.frames.get(frame);
    this.frames.delete(frame);
    if (put && shown) {
      const objects = [
        ...(came?.objects ?? []).filter((mask) => !put.has(mask.object_id)),
        ...shown.objects.filter((mask) => put.has(mask.object_id)),
      ];
      this.frames.set(frame, { ...(came ?? shown), objects });
    } else if (came) this.frames.set(frame, came);
  }

  private forgetOldest(): void {
    // Frames that came one by one while tracking are kept no longer than those that were asked for.
    for (const frame of this.frames.keys()) {
      if (this.frames.size <= MAX_STRETCHES * STRETCH) break;
      this.frames.delete(frame);
      this.answered.delete(frame);
      this.fresh.delete(stretchOf(frame));
    }
    for (const stretch of this.fresh) {
      if (this.fresh.size <= MAX_STRETCHES) return;
      this.fresh.delete(stretch);
      for (let frame = stretch * STRETCH; frame < (stretch + 1) * STRETCH; frame++) {
        this.frames.delete(frame);
        this.answered.delete(frame);
      }
    }
  }
}

const outlines = new WeakMap<Rle, Map<number, Path2D>>();

/** The outline of a mask in source pixels. `stride` 2 or more is coarser and quicker, for large pictures seen whole. */
export function outlineOf(rle: Rle, stride: number): Path2D {
  let known = outlines.get(rle);
  if (!known) {
    known = new Map();
    outlines.set(rle, known);
  }
  let path = known.get(stride);
  if (!path) {
    path = toPath(traceBitmap(decodeRle(rle, stride)), stride, stride);
    known.set(stride, path);
  }
  return path;
}

/** How coarse an outline may be: never coarser than a screen pixel, full detail below 2 megapixels. */
export function strideFor([height, width]: readonly [number, number], scale: number): number {
  if (width * height <= 2_100_000) return 1;
  return Math.max(1, Math.min(4, Math.floor(1 / scale)));
}
