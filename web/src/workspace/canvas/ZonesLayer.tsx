/** Lines and regions over the picture, and the pointer that draws them. */

import { useEffect, useRef, useState } from "react";
import type { Point } from "../../api/types";
import { toSource } from "../../lib/view";
import { centreOf, inArrow, type Zone } from "../../lib/zones";
import * as actions from "../model/actions";
import { getState, useWorkspace, viewOf } from "../model/store";

/** Screen pixels around the first corner: a click there completes a region. */
const CLOSING = 10;

export function ZonesLayer() {
  const { isOpen, zones, drawing } = useWorkspace((state) => state.counting);
  const scale = useWorkspace((state) => viewOf(state).scale);
  const left = useWorkspace((state) => viewOf(state).x);
  const top = useWorkspace((state) => viewOf(state).y);
  const layer = useRef<SVGSVGElement>(null);
  const [pointer, setPointer] = useState<Point | null>(null);
  const isDrawing = drawing !== null;

  useEffect(() => {
    const element = layer.current;
    if (!element || !isDrawing) return;
    element.focus({ preventScroll: true });
    return listen(element, setPointer);
  }, [isDrawing]);

  if (!isOpen) return null;
  const screen = ([x, y]: Point): Point => [x * scale + left, y * scale + top];
  const pending = drawing ? [...drawing.points, ...(pointer ? [pointer] : [])].map(screen) : [];
  return (
    <svg
      ref={layer}
      className={`canvas__layer zones${isDrawing ? " zones--drawing" : ""}`}
      tabIndex={isDrawing ? 0 : -1}
      aria-label={isDrawing ? "Click the corners on the picture. Enter completes, Esc cancels" : "Lines and regions"}
      role="img"
    >
      {zones.map((zone) => (
        <ZoneShape key={zone.name} zone={zone} points={zone.points.map(screen)} />
      ))}
      {pending.length > 0 && (
        <polyline className="zones__draft" points={pending.map((point) => point.join(",")).join(" ")} />
      )}
      {drawing?.points.map(screen).map(([x, y]) => (
        <circle key={`${x},${y}`} className="zones__corner" cx={x} cy={y} r={4} />
      ))}
    </svg>
  );
}

function ZoneShape({ zone, points }: { zone: Zone; points: readonly Point[] }) {
  const text = points.map((point) => point.join(",")).join(" ");
  if (zone.kind === "region") {
    const [x, y] = centreOf(points);
    return (
      <g className="zones__zone">
        <polygon points={text} />
        <text x={x} y={y}>
          {zone.name}
        </text>
      </g>
    );
  }
  const [middle, tip] = inArrow(points, 26);
  const [dx, dy] = [(tip[0] - middle[0]) / 26, (tip[1] - middle[1]) / 26];
  const head = [
    tip,
    [tip[0] - 7 * dx + 4 * dy, tip[1] - 7 * dy - 4 * dx],
    [tip[0] - 7 * dx - 4 * dy, tip[1] - 7 * dy + 4 * dx],
  ];
  return (
    <g className="zones__zone">
      <polyline className="zones__halo" points={text} />
      <polyline points={text} />
      <line x1={middle[0]} y1={middle[1]} x2={tip[0]} y2={tip[1]} />
      <polygon className="zones__head" points={head.map((point) => point.join(",")).join(" ")} />
      <text x={tip[0] + 12 * dx} y={tip[1] + 12 * dy}>
        in
      </text>
      <text x={points[0][0] + 14 * dy} y={points[0][1] - 14 * dx}>
        {zone.name}
      </text>
    </g>
  );
}

/** Turn clicks and keys into corners. Listeners are native: the canvas below has native ones, too. */
function listen(element: SVGSVGElement, setPointer: (point: Point | null) => void): () => void {
  const stop = new AbortController();
  const options = { signal: stop.signal };
  const at = (event: MouseEvent): Point => {
    const rect = element.getBoundingClientRect();
    const { medium } = getState();
    const [x, y] = toSource(viewOf(getState()), [event.clientX - rect.left, event.clientY - rect.top]);
    const clamp = (value: number, high: number) => Math.round(Math.min(Math.max(value, 0), high) * 10) / 10;
    return [clamp(x, medium?.width ?? 1), clamp(y, medium?.height ?? 1)];
  };
  const closes = ([x, y]: Point): boolean => {
    const points = getState().counting.drawing?.points ?? [];
    const reach = CLOSING / viewOf(getState()).scale;
    return points.length >= 3 && Math.hypot(x - points[0][0], y - points[0][1]) <= reach;
  };
  element.addEventListener(
    "pointerdown",
    (event) => {
      if (event.button === 1) return; // moves the picture
      event.stopPropagation();
      event.preventDefault();
      element.focus({ preventScroll: true }); // a button may have had it
      const point = at(event);
      if (event.button === 2 || closes(point)) actions.completeZone();
      else actions.addZonePoint(point);
    },
    options,
  );
  element.addEventListener("dblclick", () => actions.completeZone(), options);
  element.addEventListener(
    "pointermove",
    (event) => {
      setPointer(at(event));
      if (event.buttons === 0) event.stopPropagation(); // the canvas would preview an object there
    },
    options,
  );
  element.addEventListener("pointerleave", () => setPointer(null), options);
  element.addEventListener(
    "keydown",
    (event) => {
      if (event.key === "Enter") actions.completeZone();
      else if (event.key === "Escape") actions.cancelZone();
      else return;
      event.stopPropagation();
      event.preventDefault();
    },
    options,
  );
  return () => {
    stop.abort();
    setPointer(null);
  };
}
