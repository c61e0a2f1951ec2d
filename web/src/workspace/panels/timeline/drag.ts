import type { PointerEvent as ReactPointerEvent } from "react";

/** Call `onMove` while the pointer that went down is dragged. */
export function drag(event: ReactPointerEvent<HTMLElement>, onMove: (event: PointerEvent) => void): void {
  const target = event.currentTarget;
  target.setPointerCapture(event.pointerId);
  const stop = new AbortController();
  target.addEventListener("pointermove", onMove, { signal: stop.signal });
  for (const name of ["pointerup", "pointercancel"]) {
    target.addEventListener(name, () => stop.abort(), { signal: stop.signal });
  }
}
