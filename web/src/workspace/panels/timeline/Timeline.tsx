import { Maximize, ZoomIn, ZoomOut } from "lucide-react";
import { type PointerEvent as ReactPointerEvent, useEffect, useMemo, useRef, useState } from "react";
import { frameToX, reveal, type Window, xToFrame, zoomWindow } from "../../../lib/lanes";
import { useApp } from "../../../state/app";
import { IconButton } from "../../../ui/kit";
import * as actions from "../../model/actions";
import { getState, useWorkspace } from "../../model/store";
import { HEAD, LANE, type Lane, paintHead, paintLanes, readTheme } from "./lanesPainter";
import { useStrips } from "./useStrips";

const MIN_HEIGHT = 132;
const HEIGHT_KEY = "masklet.timeline";

export function Timeline() {
  const medium = useWorkspace((state) => state.medium);
  const objects = useWorkspace((state) => state.objects);
  const selected = useWorkspace((state) => state.selected);
  const timeline = useWorkspace((state) => state.timeline);
  const frame = useWorkspace((state) => state.frame);
  const range = useWorkspace((state) => state.range);
  const playing = useWorkspace((state) => state.playing);
  const theme = useApp((state) => state.theme);
  const numFrames = medium?.num_frames ?? 1;

  const [height, setHeight] = useState(() => Number(localStorage.getItem(HEIGHT_KEY)) || 190);
  const [size, setSize] = useState({ width: 0, height: 0 });
  const [window, setWindow] = useState<Window>({ start: 0, stop: numFrames, width: 1 });
  const [scrollTop, setScrollTop] = useState(0);
  const [colors, setColors] = useState(readTheme);
  const body = useRef<HTMLDivElement>(null);
  const scroller = useRef<HTMLDivElement>(null);
  const head = useRef<HTMLCanvasElement>(null);
  const lanesCanvas = useRef<HTMLCanvasElement>(null);
  const strips = useStrips(medium?.id ?? "", window, numFrames, medium ? medium.width / medium.height : 1);

  // biome-ignore lint/correctness/useExhaustiveDependencies: the tokens follow the theme
  useEffect(() => {
    const read = () => setColors(readTheme());
    read();
    globalThis.addEventListener("themechange", read);
    return () => globalThis.removeEventListener("themechange", read);
  }, [theme]);

  useEffect(() => {
    const element = body.current;
    if (!element) return;
    const observer = new ResizeObserver(([entry]) => {
      const { width, height: bodyHeight } = entry.contentRect;
      setSize({ width, height: Math.max(0, bodyHeight - HEAD) });
      setWindow((shown) => ({ ...shown, width: Math.max(1, width) }));
    });
    observer.observe(element);
    return () => observer.disconnect();
  }, []);

  // The shown frame stays in view.
  useEffect(() => {
    setWindow((shown) => (frame < shown.start || frame >= shown.stop ? reveal(shown, frame, numFrames) : shown));
  }, [frame, numFrames]);

  const lanes = useMemo<Lane[]>(
    () =>
      objects.map((object) => ({
        objectId: object.id,
        color: object.color,
        isSelected: object.id === selected,
        isHidden: object.hidden,
      })),
    [objects, selected],
  );

  useEffect(() => {
    const context = prepare(head.current, window.width, HEAD);
    if (context) paintHead(context, window, { timeline, strips, fps: medium?.fps ?? 30, numFrames }, colors);
  }, [window, timeline, strips, colors, medium, numFrames]);

  useEffect(() => {
    const context = prepare(lanesCanvas.current, window.width, size.height);
    if (context) paintLanes(context, window, lanes, timeline, colors, scrollTop, size.height);
  }, [window, lanes, timeline, colors, scrollTop, size.height]);

  // React's wheel listeners are passive; this one keeps the page from moving.
  useEffect(() => {
    const element = body.current;
    if (!element) return;
    const onWheel = (event: WheelEvent) => {
      const x = event.clientX - element.getBoundingClientRect().left;
      const onHead = event.clientY - element.getBoundingClientRect().top < HEAD;
      if (event.ctrlKey || event.metaKey || event.altKey || (onHead && !event.shiftKey && event.deltaX === 0)) {
        event.preventDefault();
        setWindow((shown) => {
          const around = shown.start + (x / shown.width) * (shown.stop - shown.start);
          return zoomWindow(shown, Math.exp(-event.deltaY * 0.003), around, numFrames);
        });
      } else if (event.deltaX !== 0 || event.shiftKey) {
        event.preventDefault();
        setWindow((shown) => moveWindow(shown, (event.deltaX || event.deltaY) / shown.width, numFrames));
      }
    };
    element.addEventListener("wheel", onWheel, { passive: false });
    return () => element.removeEventListener("wheel", onWheel);
  }, [numFrames]);

  const scrub = (event: ReactPointerEvent<HTMLElement>) => {
    if (event.button !== 0) return;
    const element = body.current;
    if (!element) return;
    event.preventDefault();
    const { left, top } = element.getBoundingClientRect();
    const go = (clientX: number) => actions.seek(xToFrame(window, clientX - left, numFrames));
    go(event.clientX);
    const lane = Math.floor((event.clientY - top - HEAD + scrollTop) / LANE);
    if (event.clientY - top > HEAD && lanes[lane]) actions.select(lanes[lane].objectId);
    drag(event, (move) => go(move.clientX));
  };

  const x = frameToX(window, frame + 0.5);
  const zoom = (factor: number) => setWindow((shown) => zoomWindow(shown, factor, getState().frame, numFrames));
  const moveEdge = (edge: "start" | "stop") => (event: ReactPointerEvent<HTMLElement>) => {
    event.preventDefault();
    event.stopPropagation();
    const left = body.current?.getBoundingClientRect().left ?? 0;
    drag(event, (move) => {
      actions.moveRangeEdge(edge, xToFrame(window, move.clientX - left, numFrames));
    });
  };

  return (
    <div className="timeline" style={{ height }}>
      {/* biome-ignore lint/a11y/useSemanticElements: a draggable edge, which hr is not */}
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
            const next = Math.max(MIN_HEIGHT, Math.min(innerHeight * 0.6, height + from - move.clientY));
            setHeight(next);
            localStorage.setItem(HEIGHT_KEY, String(Math.round(next)));
          });
        }}
        onKeyDown={(event) => {
          const by = event.key === "ArrowUp" ? 16 : event.key === "ArrowDown" ? -16 : 0;
          if (!by) return;
          event.preventDefault();
          event.stopPropagation();
          setHeight((now) => Math.max(MIN_HEIGHT, Math.min(innerHeight * 0.6, now + by)));
        }}
      />
      <div className="timeline__names">
        <div className="timeline__corner" style={{ height: HEAD }}>
          <div className="timeline__zoom">
            <IconButton small icon={ZoomOut} label="Timeline: zoom out" onClick={() => zoom(0.5)} />
            <IconButton small icon={ZoomIn} label="Timeline: zoom in" onClick={() => zoom(2)} />
            <IconButton
              small
              icon={Maximize}
              label="Timeline: whole video"
              onClick={() => setWindow((shown) => ({ ...shown, start: 0, stop: numFrames }))}
            />
          </div>
          <span
            className="timeline__label"
            data-tip="Lowest confidence of any mask on each frame. Amber: the frame should be reviewed"
          >
            Confidence
          </span>
        </div>
        <div className="timeline__list" style={{ transform: `translateY(${-scrollTop}px)` }}>
          {objects.map((object) => (
            <button
              key={object.id}
              type="button"
              className="timeline__name"
              aria-pressed={object.id === selected}
              style={{ height: LANE }}
              onClick={() => actions.select(object.id)}
            >
              <span className="timeline__dot" style={{ background: object.color }} />
              {object.name}
            </button>
          ))}
        </div>
      </div>
      <div ref={body} className="timeline__body" onPointerDown={scrub}>
        <canvas ref={head} className="timeline__canvas" style={{ height: HEAD }} />
        <div
          ref={scroller}
          className="timeline__scroller"
          style={{ top: HEAD }}
          onScroll={(event) => setScrollTop(event.currentTarget.scrollTop)}
        >
          <div style={{ height: lanes.length * LANE }} />
        </div>
        <canvas
          ref={lanesCanvas}
          className="timeline__canvas timeline__canvas--lanes"
          style={{ top: HEAD, height: size.height }}
        />
        {objects.length === 0 && (
          <p className="timeline__empty">
            Each object gets a lane here that shows where it is visible, lost or prompted.
          </p>
        )}
        {range && (
          <>
            <div className="timeline__out" style={{ left: 0, width: Math.max(0, frameToX(window, range.start)) }} />
            <div className="timeline__out" style={{ left: Math.max(0, frameToX(window, range.stop)), right: 0 }} />
            <div
              className="timeline__edge"
              style={{ left: frameToX(window, range.start) }}
              onPointerDown={moveEdge("start")}
            />
            <div
              className="timeline__edge timeline__edge--end"
              style={{ left: frameToX(window, range.stop) }}
              onPointerDown={moveEdge("stop")}
            />
          </>
        )}
        {x >= -1 && x <= window.width + 1 && (
          <div
            className="timeline__head"
            role="slider"
            aria-label="Frame"
            aria-valuemin={0}
            aria-valuemax={numFrames - 1}
            aria-valuenow={frame}
            tabIndex={playing ? -1 : 0}
            style={{ transform: `translateX(${x}px)` }}
          />
        )}
      </div>
    </div>
  );
}

function moveWindow(window: Window, share: number, numFrames: number): Window {
  const span = window.stop - window.start;
  const start = Math.max(0, Math.min(window.start + share * span, numFrames - span));
  return { ...window, start, stop: start + span };
}

function prepare(canvas: HTMLCanvasElement | null, width: number, height: number): CanvasRenderingContext2D | null {
  if (!canvas || width < 1 || height < 1) return null;
  const ratio = devicePixelRatio;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const context = canvas.getContext("2d");
  context?.setTransform(ratio, 0, 0, ratio, 0, 0);
  return context;
}

function drag(event: ReactPointerEvent<HTMLElement>, onMove: (event: PointerEvent) => void): void {
  const target = event.currentTarget;
  target.setPointerCapture(event.pointerId);
  const stop = new AbortController();
  target.addEventListener("pointermove", onMove, { signal: stop.signal });
  for (const name of ["pointerup", "pointercancel"]) {
    target.addEventListener(name, () => stop.abort(), { signal: stop.signal });
  }
}
