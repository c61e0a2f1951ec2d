import {
  ArrowLeftToLine,
  ArrowRightToLine,
  ChevronsLeft,
  ChevronsRight,
  Pause,
  Play,
  Repeat,
  SkipBack,
  SkipForward,
  StepBack,
  StepForward,
  X,
} from "lucide-react";
import { useState } from "react";
import { clock } from "../../../lib/lanes";
import { IconButton } from "../../../ui/kit";
import * as actions from "../../model/actions";
import { useWorkspace } from "../../model/store";

export function Transport() {
  const playing = useWorkspace((state) => state.playing);
  const looping = useWorkspace((state) => state.looping);
  const range = useWorkspace((state) => state.range);
  const medium = useWorkspace((state) => state.medium);
  if (!medium) return null;
  return (
    <div className="transport" role="toolbar" aria-label="Playback">
      <div className="transport__part">
        <FrameField />
      </div>
      <div className="transport__part transport__part--middle">
        <IconButton
          icon={SkipBack}
          label="Previous frame that you clicked or drew on"
          keys="⇧ P"
          onClick={() => actions.seekPrompted(-1)}
        />
        <IconButton icon={ChevronsLeft} label="Back 10 frames" keys="⇧ ←" onClick={() => actions.step(-10)} />
        <IconButton icon={StepBack} label="Back 1 frame" keys="←" onClick={() => actions.step(-1)} />
        <IconButton
          className="transport__play"
          icon={playing ? Pause : Play}
          label={playing ? "Pause" : "Play"}
          keys="Space"
          onClick={actions.togglePlay}
        />
        <IconButton icon={StepForward} label="Forward 1 frame" keys="→" onClick={() => actions.step(1)} />
        <IconButton icon={ChevronsRight} label="Forward 10 frames" keys="⇧ →" onClick={() => actions.step(10)} />
        <IconButton
          icon={SkipForward}
          label="Next frame that you clicked or drew on"
          keys="P"
          onClick={() => actions.seekPrompted(1)}
        />
      </div>
      <div className="transport__part transport__part--end">
        <IconButton icon={ArrowLeftToLine} label="Start the range here" keys="I" onClick={actions.setInPoint} />
        <IconButton icon={ArrowRightToLine} label="End the range here" keys="O" onClick={actions.setOutPoint} />
        {range && <IconButton icon={X} label="Clear the range" keys="⇧ X" onClick={() => actions.setRange(null)} />}
        <IconButton
          icon={Repeat}
          label={range ? "Repeat the range" : "Repeat the video"}
          keys="⇧ L"
          pressed={looping}
          onClick={actions.toggleLooping}
        />
      </div>
    </div>
  );
}

/** Time and number of the shown frame; typing a number goes there. */
function FrameField() {
  const frame = useWorkspace((state) => state.frame);
  const medium = useWorkspace((state) => state.medium);
  const [typed, setTyped] = useState<string | null>(null);
  if (!medium) return null;
  const finish = () => {
    const number = Number.parseInt(typed ?? "", 10);
    if (Number.isFinite(number)) actions.seek(number);
    setTyped(null);
  };
  return (
    <>
      <span className="transport__time num">{clock(frame / medium.fps, true)}</span>
      <span className="transport__total num">/ {clock(medium.duration_s, true)}</span>
      <label className="transport__frame" data-tip="Frames count from 0, here and in exports">
        <span className="visually-hidden">Frame</span>
        <input
          className="num"
          inputMode="numeric"
          value={typed ?? frame}
          onChange={(event) => setTyped(event.currentTarget.value)}
          onFocus={(event) => event.currentTarget.select()}
          onBlur={finish}
          onKeyDown={(event) => {
            event.stopPropagation();
            if (event.key === "Enter") event.currentTarget.blur();
            if (event.key === "Escape") setTyped(null);
          }}
        />
        <span className="num">/ {medium.num_frames - 1}</span>
      </label>
    </>
  );
}
