import { useEffect, useRef, useState } from "react";
import { keepVisible, zoomAt } from "../lib/view";
import { toastError } from "../state/app";
import { CanvasInput } from "./input";
import { Playback } from "./playback";
import { getSession } from "./session";
import { Stage } from "./stage";
import { getState, setState, useWorkspace } from "./store";

/** The stage of the open canvas, for buttons and keys that zoom. */
let openStage: Stage | null = null;
export const getStage = (): Stage | null => openStage;

export function Canvas() {
  const container = useRef<HTMLDivElement>(null);
  const picture = useRef<HTMLCanvasElement>(null);
  const overlay = useRef<HTMLCanvasElement>(null);
  const tool = useWorkspace((state) => state.tool);
  const compare = useWorkspace((state) => state.compare);
  const medium = useWorkspace((state) => state.medium);
  const [panning, setPanning] = useState(false);

  // biome-ignore lint/correctness/useExhaustiveDependencies: everything is made anew for another medium
  useEffect(() => {
    const session = getSession();
    const [box, below, above] = [container.current, picture.current, overlay.current];
    if (!session || !box || !below || !above) return;
    let stage: Stage;
    try {
      stage = new Stage(session, below, above);
    } catch (error) {
      toastError(error);
      return;
    }
    openStage = stage;
    const playback = new Playback(session, stage);
    const input = new CanvasInput(session, stage, box, setPanning);
    const observer = new ResizeObserver(([entry]) => {
      stage.resize(entry.contentRect.width, entry.contentRect.height);
      playback.prefetch();
    });
    observer.observe(box);
    const stopListening = session.subscribe(() => stage.schedule());
    const stopState = useWorkspace.subscribe((state, before) => {
      stage.schedule();
      if (state.frame !== before.frame || state.view !== before.view || state.playing !== before.playing)
        playback.prefetch();
      if (state.playing !== before.playing) playback.update();
    });
    return () => {
      openStage = null;
      observer.disconnect();
      stopListening();
      stopState();
      input.close();
      playback.close();
      stage.close();
    };
  }, [medium?.id]);

  return (
    <div
      ref={container}
      className={`canvas canvas--${panning ? "panning" : tool}`}
      role="application"
      aria-label={`Picture of ${medium?.name ?? ""}. Press K for a pointer moved by the arrow keys`}
      // biome-ignore lint/a11y/noNoninteractiveTabindex: the canvas takes keys: K puts a pointer there
      tabIndex={0}
      data-width={medium?.width}
      data-height={medium?.height}
    >
      <canvas ref={picture} className="canvas__layer" />
      <canvas ref={overlay} className="canvas__layer" data-testid="overlay" />
      {compare && <SplitHandle />}
    </div>
  );
}

function SplitHandle() {
  const split = useWorkspace((state) => state.split);
  return (
    <input
      className="split"
      type="range"
      min={0}
      max={1000}
      value={Math.round(split * 1000)}
      aria-label="Compare: what was on the left, what is on the right"
      style={{ left: `${split * 100}%` }}
      onChange={(event) => setState({ split: Number(event.currentTarget.value) / 1000 })}
      onKeyDown={(event) => event.stopPropagation()}
      onPointerDown={(event) => {
        event.preventDefault();
        event.stopPropagation();
        const { currentTarget: handle, pointerId } = event;
        const canvas = handle.parentElement?.getBoundingClientRect();
        if (!canvas) return;
        handle.setPointerCapture(pointerId);
        handle.onpointermove = (move) =>
          setState({ split: Math.min(1, Math.max(0, (move.clientX - canvas.left) / canvas.width)) });
        handle.onpointerup = () => {
          handle.onpointermove = null;
        };
      }}
    />
  );
}

export function zoomBy(factor: number): void {
  const stage = openStage;
  if (!stage) return;
  const { width, height } = stage.size;
  const view = zoomAt(stage.view, factor, [width / 2, height / 2], stage.smallestScale);
  const { medium } = getState();
  if (medium) setState({ view: keepVisible(view, medium, stage.size) });
}
