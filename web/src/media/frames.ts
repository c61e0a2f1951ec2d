/** Decoded frames of one medium: fetched when needed and ahead of time, kept while they fit in memory. */

import * as api from "../api/client";
import type { Medium } from "../api/types";
import { Lru } from "../lib/lru";

/** Widths at which frames are requested; `null` is the source's own. */
const WIDTHS = [320, 640, 960, 1280, 1920, 2560] as const;

export type FrameWidth = (typeof WIDTHS)[number] | null;

/** Return the smallest width that is at least as fine as the screen. */
export function widthFor(sourceWidth: number, screenWidth: number): FrameWidth {
  return WIDTHS.find((width) => width >= screenWidth && width < sourceWidth) ?? null;
}

const MAX_BYTES = 384 * 1024 * 1024;
const MAX_PARALLEL = 6;

export class FrameCache {
  private readonly bitmaps = new Lru<string, ImageBitmap>(
    MAX_BYTES,
    (bitmap) => bitmap.width * bitmap.height * 4,
    (bitmap) => bitmap.close(),
  );
  private readonly loading = new Map<string, AbortController>();
  private wanted: { frame: number; width: FrameWidth }[] = [];
  private readonly failures = new Map<string, number>();

  constructor(
    private readonly medium: Medium,
    private readonly onLoaded: (frame: number) => void,
    private readonly onError: (error: unknown) => void,
  ) {}

  private key(frame: number, width: FrameWidth): string {
    return `${frame}@${width ?? "source"}`;
  }

  /** Return the frame at this width, or until it arrives at the best width there is. */
  get(frame: number, width: FrameWidth): ImageBitmap | undefined {
    const exact = this.bitmaps.get(this.key(frame, width));
    if (exact) return exact;
    for (const other of [null, ...[...WIDTHS].reverse()]) {
      const bitmap = this.bitmaps.get(this.key(frame, other));
      if (bitmap) return bitmap;
    }
    return undefined;
  }

  /** Fetch these frames in order, and cancel all other requests. */
  want(frames: readonly number[], width: FrameWidth): void {
    this.wanted = frames.map((frame) => ({ frame, width }));
    const keys = new Set(this.wanted.map(({ frame }) => this.key(frame, width)));
    for (const [key, stop] of this.loading) if (!keys.has(key)) stop.abort();
    this.pump();
  }

  close(): void {
    this.wanted = [];
    for (const stop of this.loading.values()) stop.abort();
    this.bitmaps.clear();
  }

  private pump(): void {
    for (const { frame, width } of this.wanted) {
      if (this.loading.size >= MAX_PARALLEL) return;
      const key = this.key(frame, width);
      if (this.bitmaps.has(key) || this.loading.has(key) || (this.failures.get(key) ?? 0) > 2) continue;
      const stop = new AbortController();
      this.loading.set(key, stop);
      void this.load(frame, width, stop.signal)
        .catch((error: unknown) => {
          if (api.isAbort(error)) return;
          this.failures.set(key, (this.failures.get(key) ?? 0) + 1);
          this.onError(error);
        })
        .finally(() => {
          this.loading.delete(key);
          this.pump();
        });
    }
  }

  /** Request failed frames again, after a lost connection. */
  retry(): void {
    this.failures.clear();
    this.pump();
  }

  private async load(frame: number, width: FrameWidth, signal: AbortSignal): Promise<void> {
    const blob = await api.fetchBlob(api.frameUrl(this.medium.id, frame, width), signal);
    const bitmap = await createImageBitmap(blob);
    if (signal.aborted) return bitmap.close();
    this.bitmaps.set(this.key(frame, width), bitmap);
    this.onLoaded(frame);
  }
}
