/** The frames that the timeline shows: it follows the size of its element, the wheel and the shown frame. */

import { type Dispatch, type RefObject, type SetStateAction, useEffect, useState } from "react";
import { moveWindow, reveal, type Window, zoomWindow } from "../../../lib/lanes";
import { HEAD } from "./lanesPainter";

interface TimelineWindow {
  readonly window: Window;
  readonly setWindow: Dispatch<SetStateAction<Window>>;
  /** Pixels below the head. */
  readonly lanesHeight: number;
}

export function useTimelineWindow(
  body: RefObject<HTMLDivElement | null>,
  frame: number,
  numFrames: number,
): TimelineWindow {
  const [window, setWindow] = useState<Window>({ start: 0, stop: numFrames, width: 1 });
  const [lanesHeight, setLanesHeight] = useState(0);

  useEffect(() => {
    const element = body.current;
    if (!element) return;
    const observer = new ResizeObserver(([entry]) => {
      const { width, height } = entry.contentRect;
      setLanesHeight(Math.max(0, height - HEAD));
      setWindow((shown) => ({ ...shown, width: Math.max(1, width) }));
    });
    observer.observe(element);
    return () => observer.disconnect();
  }, [body]);

  useEffect(() => {
    setWindow((shown) => (frame < shown.start || frame >= shown.stop ? reveal(shown, frame, numFrames) : shown));
  }, [frame, numFrames]);

  // React's wheel listeners are passive; this one keeps the page from moving.
  useEffect(() => {
    const element = body.current;
    if (!element) return;
    const onWheel = (event: WheelEvent) => {
      const { left, top } = element.getBoundingClientRect();
      const isOnHead = event.clientY - top < HEAD;
      if (event.ctrlKey || event.metaKey || event.altKey || (isOnHead && !event.shiftKey && event.deltaX === 0)) {
        event.preventDefault();
        setWindow((shown) => {
          const around = shown.start + ((event.clientX - left) / shown.width) * (shown.stop - shown.start);
          return zoomWindow(shown, Math.exp(-event.deltaY * 0.003), around, numFrames);
        });
      } else if (event.deltaX !== 0 || event.shiftKey) {
        event.preventDefault();
        setWindow((shown) => moveWindow(shown, (event.deltaX || event.deltaY) / shown.width, numFrames));
      }
    };
    element.addEventListener("wheel", onWheel, { passive: false });
    return () => element.removeEventListener("wheel", onWheel);
  }, [body, numFrames]);

  return { window, setWindow, lanesHeight };
}
