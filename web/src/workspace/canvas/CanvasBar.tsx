/** The controls that float over the canvas: hints, candidates, brush size, the decoder's place, zoom. */

import { Cpu, Maximize, Minus, Plus, Sparkles, X, Zap } from "lucide-react";
import { Button, IconButton, Kbd, Segmented } from "../../ui/kit";
import * as actions from "../model/actions";
import { areProposalsShown, scaleOf, useWorkspace } from "../model/store";
import { CandidatePicker } from "./CandidatePicker";

export function CanvasBar() {
  return (
    <>
      <div className="float float--bottom">
        <Compare />
        <CandidatePicker />
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
  const job = useWorkspace((state) => state.job);
  const compare = useWorkspace((state) => state.compare);
  const isReviewing = useWorkspace(areProposalsShown);
  if (job || compare) return null;
  if (cursor) {
    return (
      <div className="hint">
        <Kbd>← ↑ ↓ →</Kbd> move <Kbd>Enter</Kbd> add <Kbd>⌫</Kbd> remove <Kbd>Esc</Kbd> exit
      </div>
    );
  }
  if (tool !== "click" && tool !== "box") return null;
  if (isReviewing) {
    return (
      <div className="hint">
        Click accepts, right click refuses · <Kbd>G</Kbd> next <Kbd>Enter</Kbd> accept <Kbd>⌫</Kbd> refuse
      </div>
    );
  }
  if (drafting) return <div className="hint">Click the new object, or drag a box around it</div>;
  if (objects.length === 0) {
    return (
      <div className="hint">
        Click an object to select it, or drag a box around it
        <Button variant="ghost" icon={Sparkles} keys="⇧ F" onClick={() => void actions.findProposals()}>
          Find everything
        </Button>
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
          { value: "picture", label: "Without masks" },
        ]}
        onChange={actions.setCompare}
      />
      <IconButton small icon={X} label="End the comparison" keys="Y" onClick={actions.toggleCompare} />
    </div>
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
  const isReady = useWorkspace(({ embedded, frame }) => embedded?.frame === frame && embedded.localMode === localMode);
  if (decoder.state === "off" || decoder.state === "failed") return null;
  const isOpen = decoder.state === "ready";
  const explanation = localMode
    ? "This browser finds the masks itself, also while the server is busy or away; the server stores them."
    : "The server finds the masks; this browser only previews the one under your pointer.";
  return (
    <div className="floating floating--small">
      <Segmented
        label="Where masks are found"
        value={localMode ? "page" : "server"}
        options={[
          { value: "server", label: "On the server", icon: Zap },
          { value: "page", label: "In this browser", icon: Cpu },
        ]}
        onChange={(value) => actions.setLocalMode(value === "page")}
      />
      <span
        className="decoder-state"
        data-state={isOpen && isReady ? "ready" : "opening"}
        data-local={localMode && isReady ? "ready" : undefined}
        data-tip={isOpen ? `${explanation} (${decoder.backend})` : "Loading the model into this browser"}
      >
        <span className="decoder-state__name">{isOpen ? decoder.backend : "Loading"}</span>
      </span>
    </div>
  );
}

function Zoom() {
  const scale = useWorkspace(scaleOf);
  return (
    <div className="floating floating--small">
      <IconButton small icon={Minus} label="Zoom out" keys="-" onClick={() => actions.zoomBy(1 / 1.25)} />
      <span className="zoom__value num">{Math.round(scale * 100)} %</span>
      <IconButton small icon={Plus} label="Zoom in" keys="+" onClick={() => actions.zoomBy(1.25)} />
      <IconButton small icon={Maximize} label="Fit to window" keys="0" onClick={actions.fitView} />
      <button
        type="button"
        className="icon-button icon-button--small zoom__exact num"
        aria-label="Actual pixels"
        data-tip="Actual pixels"
        data-keys="⇧ 1"
        onClick={actions.zoomToPixels}
      >
        1:1
      </button>
    </div>
  );
}
