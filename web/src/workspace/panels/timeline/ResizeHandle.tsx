import { type Dispatch, type SetStateAction, useState } from "react";
import { drag } from "./drag";

const MIN_HEIGHT = 132;
const HEIGHT_KEY = "masklet.timeline";

const clamped = (height: number): number => Math.max(MIN_HEIGHT, Math.min(innerHeight * 0.6, height));

/** The timeline's height in CSS pixels, at first as the user dragged it last time. */
export function useTimelineHeight(): readonly [number, Dispatch<SetStateAction<number>>] {
  const [height, setHeight] = useState(() => Number(localStorage.getItem(HEIGHT_KEY)) || 190);
  return [height, setHeight];
}

/** The upper edge of the timeline: dragged, or moved by the arrow keys. */
export function ResizeHandle(props: { height: number; onResize: Dispatch<SetStateAction<number>> }) {
  const { height, onResize } = props;
  return (
    // biome-ignore lint/a11y/useSemanticElements: a draggable edge, which hr is not
    <div
      className="timeline__resize"
      role="separator"
      aria-orientation="horizontal"
      aria-label="Height of the timeline"
      aria-valuenow={height}
      tabIndex={0}
      onPointerDown={(event) => {
        const from = event.clientY;
        drag(event, (move) => {
          const next = clamped(height + from - move.clientY);
          onResize(next);
          localStorage.setItem(HEIGHT_KEY, String(Math.round(next)));
        });
      }}
      onKeyDown={(event) => {
        const by = event.key === "ArrowUp" ? 16 : event.key === "ArrowDown" ? -16 : 0;
        if (!by) return;
        event.preventDefault();
        event.stopPropagation();
        onResize((before) => clamped(before + by));
      }}
    />
  );
}
