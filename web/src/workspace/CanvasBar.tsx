import { Cpu, Maximize, Minus, Plus, Sparkles, X, Zap } from "lucide-react";
import { useMemo } from "react";
import { frameUrl } from "../api/client";
import type { Candidate } from "../api/types";
import { traceBitmap } from "../lib/contour";
import { decodeRle } from "../lib/rle";
import { Button, IconButton, Kbd, Segmented } from "../ui/kit";
import * as actions from "./actions";
import { zoomBy } from "./Canvas";
import { selectedObject, setState, useWorkspace } from "./store";

/** What floats over the canvas: hints, candidates, brush size, zoom. */
export function CanvasBar() {
  return (
    <>
      <div className="float float--bottom">
        <Compare />
        <Candidates />
        <ToolOptions />
      </div>
      <div className="float float--top">
        <Hint />
      </div>
      <div className="float float--left">
        <DecoderChip />
      </div>
      <div className="float float--right">
        <Zoom />
      </div>
    </>
  );
}

function Hint() {
  const objects = useWorkspace((state) => state.objects);
  const drafting = useWorkspace((state) => state.drafting);
  const tool = useWorkspace((state) => state.tool);
  const cursor = useWorkspace((state) => state.cursor);
  const medium = useWorkspace((state) => state.medium);
  const job = useWorkspace((state) => state.job);
  const compare = useWorkspace((state) => state.compare);
  if (job || compare) return null;
  if (cursor) {
    return (
      <div className="hint">
        <Kbd>← ↑ ↓ →</Kbd> move <Kbd>Enter</Kbd> add <Kbd>⌫</Kbd> take away <Kbd>Esc</Kbd> leave
      </div>
    );
  }
  if (tool !== "click" && tool !== "box") return null;
  if (drafting) return <div className="hint">Click the new object, or drag a box around it</div>;
  if (objects.length === 0) {
    return (
      <div className="hint">
        Click an object to cut it out, or drag a box around it
        {medium && medium.num_frames === 1 && (
          <Button variant="ghost" icon={Sparkles} onClick={actions.findEverything}>
            Find everything
          </Button>
        )}
      </div>
    );
  }
  return null;
}

function Compare() {
  const compare = useWorkspace((state) => state.compare);
  if (!compare) return null;
  return (
    <div className="floating floating--small">
      <Segmented
        label="On the left"
        value={compare}
        options={[
          { value: "before", label: "Before the last change" },
          { value: "picture", label: "Picture alone" },
        ]}
        onChange={actions.setCompare}
      />
      <IconButton small icon={X} label="End comparing" keys="Y" onClick={actions.toggleCompare} />
    </div>
  );
}

function Candidates() {
  const choice = useWorkspace((state) => state.candidates);
  const object = useWorkspace(selectedObject);
  const compare = useWorkspace((state) => state.compare);
  const around = useMemo(() => choice && frameAround(choice.list), [choice]);
  if (!choice || !around || choice.list.length < 2 || compare) return null;
  return (
    <div className="floating candidates" role="radiogroup" aria-label="Which of these did you mean?">
      <span className="candidates__label">
        Which one? <Kbd>G</Kbd>
      </span>
      {choice.list.map((candidate, i) => (
        // biome-ignore lint/a11y/useSemanticElements: pictures to choose from, as WAI-ARIA's radio group
        <button
          // biome-ignore lint/suspicious/noArrayIndexKey: candidates have no other name
          key={i}
          type="button"
          role="radio"
          aria-checked={i === choice.chosen}
          aria-label={`Candidate ${i + 1}, quality ${Math.round(candidate.iou_prediction * 100)} %`}
          className="candidate"
          onClick={() => actions.chooseCandidate(i)}
        >
          <CandidatePicture
            candidate={candidate}
            around={around}
            frame={choice.frame}
            color={object?.color ?? "var(--accent)"}
          />
          <span className="num">{Math.round(candidate.iou_prediction * 100)} %</span>
        </button>
      ))}
      <IconButton small icon={X} label="Keep this one" onClick={() => setState({ candidates: null })} />
    </div>
  );
}

/** The part of the picture in which all candidates lie, with some room: x, y, width, height. */
function frameAround(candidates: readonly Candidate[]): readonly [number, number, number, number] {
  const [height, width] = candidates[0].rle.size;
  const stride = strideOf(width, height);
  let [x0, y0, x1, y1] = [width, height, 0, 0];
  for (const { rle } of candidates) {
    const bitmap = decodeRle(rle, stride);
    bitmap.data.forEach((value, i) => {
      if (!value) return;
      const x = (i % bitmap.width) * stride;
      const y = Math.floor(i / bitmap.width) * stride;
      [x0, y0, x1, y1] = [Math.min(x0, x), Math.min(y0, y), Math.max(x1, x), Math.max(y1, y)];
    });
  }
  if (x0 > x1) return [0, 0, width, height];
  const room = 0.15 * Math.max(x1 - x0, y1 - y0);
  const [left, top] = [Math.max(0, x0 - room), Math.max(0, y0 - room)];
  return [left, top, Math.min(width, x1 + room) - left, Math.min(height, y1 + room) - top];
}

const strideOf = (width: number, height: number): number => Math.max(1, Math.floor(Math.max(width, height) / 200));

function CandidatePicture(props: {
  candidate: Candidate;
  around: readonly [number, number, number, number];
  frame: number;
  color: string;
}) {
  const { candidate, around, frame, color } = props;
  const mid = useWorkspace((state) => state.medium?.id ?? "");
  const [height, width] = candidate.rle.size;
  const outline = useMemo(() => {
    const stride = strideOf(width, height);
    return traceBitmap(decodeRle(candidate.rle, stride))
      .map((loop) => {
        const points: string[] = [];
        for (let i = 0; i < loop.length; i += 2) points.push(`${loop[i] * stride} ${loop[i + 1] * stride}`);
        return `M${points.join("L")}Z`;
      })
      .join("");
  }, [candidate, width, height]);
  return (
    <svg className="candidate__picture" viewBox={around.join(" ")} aria-hidden="true">
      <image href={frameUrl(mid, frame, 320)} width={width} height={height} opacity={0.75} />
      <path
        d={outline}
        fill={color}
        fillOpacity={0.6}
        stroke={color}
        strokeWidth={Math.max(around[2], around[3]) / 40}
        fillRule="evenodd"
      />
    </svg>
  );
}

function ToolOptions() {
  const tool = useWorkspace((state) => state.tool);
  const brushSize = useWorkspace((state) => state.brushSize);
  const medium = useWorkspace((state) => state.medium);
  if ((tool !== "brush" && tool !== "eraser") || !medium) return null;
  return (
    <div className="floating tool-options">
      <label className="tool-options__size">
        <span>Size</span>
        <Kbd>[</Kbd>
        <input
          className="slider"
          type="range"
          min={1}
          max={Math.round(Math.max(medium.width, medium.height) / 4)}
          value={brushSize}
          onChange={(event) => actions.setBrushSize(Number(event.currentTarget.value))}
          onKeyDown={(event) => event.stopPropagation()}
        />
        <Kbd>]</Kbd>
        <span className="num tool-options__value">{brushSize} px</span>
      </label>
    </div>
  );
}

function DecoderChip() {
  const decoder = useWorkspace((state) => state.decoder);
  const localMode = useWorkspace((state) => state.localMode);
  const isReady = useWorkspace(({ lookedAt, frame }) => lookedAt?.frame === frame && lookedAt.localMode === localMode);
  if (decoder.state === "off" || decoder.state === "failed") return null;
  const isOpen = decoder.state === "ready";
  const how = localMode
    ? "The picture is looked at in this page; the server keeps what you do."
    : "The server looks at the picture, the page follows your pointer.";
  return (
    <div className="floating floating--small">
      <Segmented
        label="Where the picture is looked at"
        value={localMode ? "page" : "server"}
        options={[
          { value: "server", label: "Server", icon: Zap },
          { value: "page", label: "This page", icon: Cpu },
        ]}
        onChange={(value) => actions.setLocalMode(value === "page")}
      />
      <span
        className="decoder-state"
        data-state={isOpen && isReady ? "ready" : "opening"}
        data-local={localMode && isReady ? "ready" : undefined}
        data-tip={isOpen ? `${how} Masks by ${decoder.backend}.` : "Loading the model into the page"}
      >
        <span className="decoder-state__name">{isOpen ? decoder.backend : "Loading"}</span>
      </span>
    </div>
  );
}

function Zoom() {
  const scale = useWorkspace((state) => state.scale);
  return (
    <div className="floating floating--small">
      <IconButton small icon={Minus} label="Zoom out" keys="-" onClick={() => zoomBy(1 / 1.25)} />
      <span className="zoom__value num">{Math.round(scale * 100)} %</span>
      <IconButton small icon={Plus} label="Zoom in" keys="+" onClick={() => zoomBy(1.25)} />
      <IconButton small icon={Maximize} label="Fit" keys="0" onClick={() => setState({ view: null })} />
      <button
        type="button"
        className="icon-button icon-button--small zoom__exact num"
        aria-label="One to one"
        data-tip="One to one"
        data-keys="⇧ 1"
        onClick={() => zoomBy(1 / devicePixelRatio / scale)}
      >
        1:1
      </button>
    </div>
  );
}
