import { useEffect, useRef, useState } from "react";
import { toastError } from "../../state/app";
import * as actions from "../model/actions";
import { getSession } from "../model/session";
import { useWorkspace } from "../model/store";
import { Playback } from "./playback";
import { PointerInput } from "./pointerInput";
import { Stage } from "./stage";
import { ZonesLayer } from "./ZonesLayer";

export function Canvas() {
  const container = useRef<HTMLDivElement>(null);
  const picture = useRef<HTMLCanvasElement>(null);
  const overlay = useRef<HTMLCanvasElement>(null);
  const tool = useWorkspace((state) => state.tool);
  const compare = useWorkspace((state) => state.compare);
  const medium = useWorkspace((state) => state.medium);
  const [panning, setPanning] = useState(false);

  // biome-ignore lint/correctness/useExhaustiveDependencies: everything is created again for another medium
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
    const playback = new Playback(session, stage);
    const input = new PointerInput(session, stage, box, setPanning);
    const observer = new ResizeObserver(([entry]) => {
      const { width, height } = entry.contentRect;
      actions.setCanvasSize({ width, height });
      stage.resize();
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
      aria-label={`Picture of ${medium?.name ?? ""}. Press K to move a pointer with the arrow keys`}
      // biome-ignore lint/a11y/noNoninteractiveTabindex: the canvas takes keys: K puts a pointer there
      tabIndex={0}
      data-width={medium?.width}
      data-height={medium?.height}
    >
      <canvas ref={picture} className="canvas__layer" />
      <canvas ref={overlay} className="canvas__layer" data-testid="overlay" />
      <ZonesLayer />
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
      aria-label="Compare: before on the left, now on the right"
      style={{ left: `${split * 100}%` }}
      onChange={(event) => actions.setSplit(Number(event.currentTarget.value) / 1000)}
      onKeyDown={(event) => event.stopPropagation()}
      onPointerDown={(event) => {
        event.preventDefault();
        event.stopPropagation();
        const { currentTarget: handle, pointerId } = event;
        const canvas = handle.parentElement?.getBoundingClientRect();
        if (!canvas) return;
        handle.setPointerCapture(pointerId);
        handle.onpointermove = (move) => actions.setSplit((move.clientX - canvas.left) / canvas.width);
        handle.onpointerup = () => {
          handle.onpointermove = null;
        };
      }}
    />
  );
}
