/** Thumbnails along the timeline. */

import { useCallback, useEffect, useMemo, useState } from "react";
import * as api from "../../../api/client";
import type { Window } from "../../../lib/lanes";
import type { Strip } from "./lanesPainter";

/** Return the film strip of the whole video and, while the timeline is zoomed in, a finer one of the visible window. */
export function useStrips(mid: string, window: Window, numFrames: number, aspect: number): readonly Strip[] {
  const [whole, setWhole] = useState<Strip | null>(null);
  const [part, setPart] = useState<Strip | null>(null);
  const { width } = window;
  const start = Math.floor(window.start);
  const stop = Math.ceil(window.stop);

  const load = useCallback(
    async (from: number, to: number, signal: AbortSignal): Promise<Strip | null> => {
      const numFitting = Math.round(width / Math.max(24, 46 * aspect));
      const count = Math.max(1, Math.min(to - from, numFitting, 60));
      try {
        const blob = await api.fetchBlob(api.stripUrl(mid, count, 48, from, to), signal);
        return { image: await createImageBitmap(blob), start: from, stop: to };
      } catch {
        return null; // the timeline works without it
      }
    },
    [mid, width, aspect],
  );

  useEffect(() => {
    if (width < 2) return;
    const abort = new AbortController();
    const timer = setTimeout(
      () => void load(0, numFrames, abort.signal).then((strip) => strip && setWhole(strip)),
      150,
    );
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [load, numFrames, width]);

  useEffect(() => {
    if (width < 2 || stop - start >= numFrames * 0.95) {
      setPart(null);
      return;
    }
    const abort = new AbortController();
    const timer = setTimeout(() => void load(start, stop, abort.signal).then((strip) => strip && setPart(strip)), 250);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [load, start, stop, numFrames, width]);

  return useMemo(() => [whole, part].filter((strip) => strip !== null), [whole, part]);
}
