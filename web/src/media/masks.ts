/** Masks of one medium as run lengths, fetched in chunks on demand, and their outlines. */

import * as api from "../api/client";
import type { FrameMasks, ObjectMask, Rle, Status } from "../api/types";
import { toPath, traceBitmap } from "../lib/contour";
import { decodeRle } from "../lib/rle";

/** Frames per request. */
const CHUNK = 30;
const MAX_CHUNKS = 120;

const chunkOf = (frame: number): number => Math.floor(frame / CHUNK);

/** A mask as the page shows it: from the server with all its fields, or made in the page with those that are used. */
export type ShownMask = Partial<ObjectMask> & {
  readonly object_id: number;
  readonly rle: Rle;
  readonly area: number;
  readonly status: Status;
  readonly confidence: number;
  readonly prompted: boolean;
  readonly accepted: boolean;
  readonly review: boolean;
};

export type ShownFrame = Omit<FrameMasks, "objects"> & { readonly objects: readonly ShownMask[] };

type LocalMask = Pick<ShownMask, "rle" | "area" | "confidence" | "status">;

/** A chunk that is being fetched. */
interface Loading {
  readonly stop: AbortController;
  /** Frames that were set in the meantime, and masks that were put on others: those are newer than the answer. */
  readonly frames: Set<number>;
  readonly masks: Map<number, Set<number>>;
}

export class MaskCache {
  private readonly frames = new Map<number, ShownFrame>();
  /** Chunks that are as the server has them, in order of use. */
  private readonly fresh = new Set<number>();
  /** Frames of other chunks that are as the server has them: it answered a change of them. */
  private readonly answered = new Set<number>();
  private readonly loading = new Map<number, Loading>();
  private epoch = 0;

  constructor(
    private readonly mediumId: string,
    private readonly numFrames: number,
    private readonly onLoaded: () => void,
    private readonly onError: (error: unknown) => void,
    /** Fetch each mask as it was before its last change. */
    private readonly before = false,
  ) {}

  get(frame: number): ShownFrame | undefined {
    return this.frames.get(frame);
  }

  /** Return whether the shown masks of a frame are those that the server has. */
  isKnown(frame: number): boolean {
    return this.fresh.has(chunkOf(frame)) || this.answered.has(frame);
  }

  /** Show the masks that the server has sent for a frame. */
  set(masks: ShownFrame): void {
    this.answered.add(masks.frame_index);
    this.loading.get(chunkOf(masks.frame_index))?.frames.add(masks.frame_index);
    this.keep(masks);
  }

  private keep(masks: ShownFrame): void {
    this.frames.delete(masks.frame_index);
    this.frames.set(masks.frame_index, masks);
    this.forgetOldest();
    this.onLoaded();
  }

  /** Show a mask that was made in the page, before the server has it. */
  put(frame: number, objectId: number, made: LocalMask): void {
    const shown = this.frames.get(frame);
    const mask: ShownMask = {
      ...made,
      object_id: objectId,
      prompted: true,
      accepted: false,
      review: false,
    };
    const loading = this.loading.get(chunkOf(frame));
    loading?.masks.set(frame, (loading.masks.get(frame) ?? new Set()).add(objectId));
    const others = shown?.objects.filter((other) => other.object_id !== objectId) ?? [];
    this.keep({ frame_index: frame, time_s: 0, accepted: false, ...shown, objects: [...others, mask] });
  }

  /** Give an object its id from the server. */
  replaceId(temporary: number, real: number): void {
    for (const masks of [...this.frames.values()]) {
      if (!masks.objects.some((mask) => mask.object_id === temporary)) continue;
      const replace = (mask: ShownMask) => (mask.object_id === temporary ? { ...mask, object_id: real } : mask);
      this.loading.get(chunkOf(masks.frame_index))?.masks.get(masks.frame_index)?.add(real);
      this.keep({ ...masks, objects: masks.objects.map(replace) });
    }
  }

  /** Remove an object's mask from a frame, before the server has done so. */
  remove(frame: number, objectId: number): void {
    const masks = this.frames.get(frame);
    if (!masks) return;
    this.set({ ...masks, objects: masks.objects.filter((mask) => mask.object_id !== objectId) });
  }

  /** Fetch everything again when it is needed; until then the old masks are shown. */
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

  /** Fetch the masks of `frame` and of the frames after it, where they are not here yet. */
  ensure(frame: number, ahead = 0): void {
    const first = chunkOf(frame);
    const last = chunkOf(Math.min(frame + ahead, this.numFrames - 1));
    for (let chunk = first; chunk <= last; chunk++) this.load(chunk);
  }

  private load(chunk: number): void {
    if (this.fresh.has(chunk)) {
      this.fresh.delete(chunk);
      this.fresh.add(chunk);
      return;
    }
    if (this.loading.has(chunk)) return;
    const stop = new AbortController();
    const { epoch } = this;
    const request: Loading = { stop, frames: new Set(), masks: new Map() };
    this.loading.set(chunk, request);
    const start = chunk * CHUNK;
    const end = Math.min(start + CHUNK, this.numFrames);
    api
      .getMasks(this.mediumId, start, end, this.before, stop.signal)
      .then(
        ({ frames }) => {
          if (epoch !== this.epoch) return;
          const received = new Map(frames.map((masks) => [masks.frame_index, masks]));
          for (let frame = start; frame < end; frame++)
            if (!request.frames.has(frame)) this.take(frame, received.get(frame), request);
          this.fresh.add(chunk);
          this.forgetOldest();
          this.onLoaded();
        },
        (error: unknown) => {
          if (!api.isAbort(error)) this.onError(error);
        },
      )
      .finally(() => {
        if (this.loading.get(chunk) === request) this.loading.delete(chunk);
      });
  }

  /** Show a frame as received, except for masks that were put there in the meantime. */
  private take(frame: number, received: FrameMasks | undefined, { masks }: Loading): void {
    const put = masks.get(frame);
    const shown = this.frames.get(frame);
    this.frames.delete(frame);
    if (put && shown) {
      const objects = [
        ...(received?.objects ?? []).filter((mask) => !put.has(mask.object_id)),
        ...shown.objects.filter((mask) => put.has(mask.object_id)),
      ];
      this.frames.set(frame, { ...(received ?? shown), objects });
    } else if (received) this.frames.set(frame, received);
  }

  private forgetOldest(): void {
    // Frames that arrived one by one while tracking are kept no longer than requested ones.
    for (const frame of this.frames.keys()) {
      if (this.frames.size <= MAX_CHUNKS * CHUNK) break;
      this.frames.delete(frame);
      this.answered.delete(frame);
      this.fresh.delete(chunkOf(frame));
    }
    for (const chunk of this.fresh) {
      if (this.fresh.size <= MAX_CHUNKS) return;
      this.fresh.delete(chunk);
      for (let frame = chunk * CHUNK; frame < (chunk + 1) * CHUNK; frame++) {
        this.frames.delete(frame);
        this.answered.delete(frame);
      }
    }
  }
}

const outlines = new WeakMap<Rle, Map<number, Path2D>>();

/** Return the outline of a mask in source pixels. A `stride` above 1 is coarser and faster, for large pictures. */
export function outlineOf(rle: Rle, stride: number): Path2D {
  let byStride = outlines.get(rle);
  if (!byStride) {
    byStride = new Map();
    outlines.set(rle, byStride);
  }
  let path = byStride.get(stride);
  if (!path) {
    path = toPath(traceBitmap(decodeRle(rle, stride)), stride, stride);
    byStride.set(stride, path);
  }
  return path;
}

/** Return how coarse an outline may be: never coarser than a screen pixel, full detail below 2 megapixels. */
export function strideFor([height, width]: readonly [number, number], scale: number): number {
  if (width * height <= 2_100_000) return 1;
  return Math.max(1, Math.min(4, Math.floor(1 / scale)));
}
