import { Maximize, ZoomIn, ZoomOut } from "lucide-react";
import { type PointerEvent as ReactPointerEvent, useEffect, useMemo, useRef, useState } from "react";
import { frameToX, type Window, xToFrame, zoomWindow } from "../../../lib/lanes";
import { useApp } from "../../../state/app";
import { IconButton } from "../../../ui/kit";
import * as actions from "../../model/actions";
import { getState, useWorkspace } from "../../model/store";
import { drag } from "./drag";
import { HEAD, LANE, type Lane, paintHead, paintLanes, readTheme } from "./lanesPainter";
import { ResizeHandle, useTimelineHeight } from "./ResizeHandle";
import { useStrips } from "./useStrips";
import { useTimelineWindow } from "./useTimelineWindow";

/** Film strip, confidence and one lane per object, over all frames of the video. */
export function Timeline() {
  const medium = useWorkspace((state) => state.medium);
  const frame = useWorkspace((state) => state.frame);
  const numFrames = medium?.num_frames ?? 1;
  const [height, setHeight] = useTimelineHeight();
  const [scrollTop, setScrollTop] = useState(0);
  const body = useRef<HTMLDivElement>(null);
  const { window, setWindow, lanesHeight } = useTimelineWindow(body, frame, numFrames);
  const lanes = useLanes();
  const { head, lanesCanvas } = usePainting(window, lanes, scrollTop, lanesHeight);

  const zoom = (factor: number) => setWindow((shown) => zoomWindow(shown, factor, getState().frame, numFrames));
  const frameAt = (clientX: number): number =>
    xToFrame(window, clientX - (body.current?.getBoundingClientRect().left ?? 0), numFrames);
  const scrub = (event: ReactPointerEvent<HTMLElement>) => {
    if (event.button !== 0 || !body.current) return;
    event.preventDefault();
    const y = event.clientY - body.current.getBoundingClientRect().top;
    actions.seek(frameAt(event.clientX));
    const lane = lanes[Math.floor((y - HEAD + scrollTop) / LANE)];
    if (y > HEAD && lane) actions.select(lane.objectId);
    drag(event, (move) => actions.seek(frameAt(move.clientX)));
  };

  return (
    <div className="timeline" style={{ height }}>
      <ResizeHandle height={height} onResize={setHeight} />
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
            data-tip="How sure the model is of its least sure mask on each frame. Amber: check this frame"
          >
            Confidence
          </span>
        </div>
        <LaneNames scrollTop={scrollTop} />
      </div>
      <div ref={body} className="timeline__body" onPointerDown={scrub}>
        <canvas ref={head} className="timeline__canvas" style={{ height: HEAD }} />
        <div
          className="timeline__scroller"
          style={{ top: HEAD }}
          onScroll={(event) => setScrollTop(event.currentTarget.scrollTop)}
        >
          <div style={{ height: lanes.length * LANE }} />
        </div>
        <canvas
          ref={lanesCanvas}
          className="timeline__canvas timeline__canvas--lanes"
          style={{ top: HEAD, height: lanesHeight }}
        />
        {lanes.length === 0 && (
          <p className="timeline__empty">
            Each object gets a row here: where it is visible, where it is lost, and where you clicked it.
          </p>
        )}
        <RangeEdges window={window} frameAt={frameAt} />
        <Playhead window={window} />
      </div>
    </div>
  );
}

function useLanes(): readonly Lane[] {
  const objects = useWorkspace((state) => state.objects);
  const selected = useWorkspace((state) => state.selected);
  return useMemo(
    () =>
      objects.map((object) => ({
        objectId: object.id,
        color: object.color,
        isSelected: object.id === selected,
        isHidden: object.hidden,
      })),
    [objects, selected],
  );
}

/** Paint both canvases whenever what they show changes; returns the refs to give them. */
function usePainting(window: Window, lanes: readonly Lane[], scrollTop: number, lanesHeight: number) {
  const medium = useWorkspace((state) => state.medium);
  const timeline = useWorkspace((state) => state.timeline);
  const theme = useApp((state) => state.theme);
  const [colors, setColors] = useState(readTheme);
  const head = useRef<HTMLCanvasElement>(null);
  const lanesCanvas = useRef<HTMLCanvasElement>(null);
  const numFrames = medium?.num_frames ?? 1;
  const strips = useStrips(medium?.id ?? "", window, numFrames, medium ? medium.width / medium.height : 1);

  // biome-ignore lint/correctness/useExhaustiveDependencies: the tokens follow the theme
  useEffect(() => {
    const read = () => setColors(readTheme());
    read();
    globalThis.addEventListener("themechange", read);
    return () => globalThis.removeEventListener("themechange", read);
  }, [theme]);

  useEffect(() => {
    const context = prepare(head.current, window.width, HEAD);
    if (context) paintHead(context, window, { timeline, strips, fps: medium?.fps ?? 30, numFrames }, colors);
  }, [window, timeline, strips, colors, medium, numFrames]);

  useEffect(() => {
    const context = prepare(lanesCanvas.current, window.width, lanesHeight);
    if (context) paintLanes(context, window, lanes, timeline, colors, scrollTop, lanesHeight);
  }, [window, lanes, timeline, colors, scrollTop, lanesHeight]);

  return { head, lanesCanvas };
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

function LaneNames({ scrollTop }: { scrollTop: number }) {
  const objects = useWorkspace((state) => state.objects);
  const selected = useWorkspace((state) => state.selected);
  return (
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
          <span className="timeline__text">{object.name}</span>
          {object.class_name && <span className="timeline__class">{object.class_name}</span>}
        </button>
      ))}
    </div>
  );
}

/** The ends of the in-to-out range, to be dragged; the rest of the video is dimmed. */
function RangeEdges({ window, frameAt }: { window: Window; frameAt: (clientX: number) => number }) {
  const range = useWorkspace((state) => state.range);
  if (!range) return null;
  const move = (edge: "start" | "stop") => (event: ReactPointerEvent<HTMLElement>) => {
    event.preventDefault();
    event.stopPropagation();
    drag(event, (moved) => actions.moveRangeEdge(edge, frameAt(moved.clientX)));
  };
  const [start, stop] = [frameToX(window, range.start), frameToX(window, range.stop)];
  return (
    <>
      <div className="timeline__out" style={{ left: 0, width: Math.max(0, start) }} />
      <div className="timeline__out" style={{ left: Math.max(0, stop), right: 0 }} />
      <div className="timeline__edge" style={{ left: start }} onPointerDown={move("start")} />
      <div className="timeline__edge timeline__edge--end" style={{ left: stop }} onPointerDown={move("stop")} />
    </>
  );
}

function Playhead({ window }: { window: Window }) {
  const frame = useWorkspace((state) => state.frame);
  const playing = useWorkspace((state) => state.playing);
  const numFrames = useWorkspace((state) => state.medium?.num_frames ?? 1);
  const x = frameToX(window, frame + 0.5);
  if (x < -1 || x > window.width + 1) return null;
  return (
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
  );
}
