import { Film, Sparkles, X } from "lucide-react";
import { Button, IconButton, Segmented } from "../../ui/kit";
import * as actions from "../model/actions";
import { isVideo, MOST_FRAMES_BETWEEN, MOST_OBJECTS, useWorkspace } from "../model/store";

/** Starts searches for objects without prompts: on the shown frame, and throughout a video. */
export function FindEverything() {
  const hasTimeline = useWorkspace(isVideo);
  const frameButton = (
    <Button
      wide={!hasTimeline}
      icon={Sparkles}
      keys="⇧ F"
      tip="Outline everything that may be an object here; you accept or refuse each"
      onClick={() => void actions.findProposals()}
    >
      {hasTimeline ? "This frame" : "Find everything"}
    </Button>
  );
  if (!hasTimeline) return frameButton;
  return (
    <section className="find" aria-label="Find everything">
      <h3 className="find__title">Find everything</h3>
      <div className="running__buttons">
        {frameButton}
        <VideoButton />
      </div>
      <Options />
    </section>
  );
}

/** Says what the last search through the video has found, until it is dismissed. */
export function DiscoveryResult() {
  const result = useWorkspace((state) => state.discoveryResult);
  if (!result) return null;
  return (
    <div className="find__result" role="status">
      <span>{result.text}.</span>
      <IconButton small icon={X} label="Dismiss" onClick={actions.dismissDiscoveryResult} />
      {result.rest && (
        <Button tip="Continue on the frames that were not reached" onClick={() => void actions.discoverRest()}>
          Search the rest
        </Button>
      )}
    </div>
  );
}

function VideoButton() {
  const range = useWorkspace((state) => (state.looping ? null : state.range));
  return (
    <Button
      icon={Film}
      keys="⇧ E"
      tip="Find the objects and track them; each is added once it has been seen several times"
      onClick={() => void actions.discover()}
    >
      {range ? `${range.start} – ${range.stop - 1}` : "Whole video"}
    </Button>
  );
}

function Options() {
  const { level, every, max_objects, min_score } = useWorkspace((state) => state.discoveryOptions);
  return (
    <details className="find__options">
      <summary>Options for the video</summary>
      <Segmented
        label="Level"
        value={level}
        options={[
          { value: "objects", label: "Objects" },
          { value: "parts", label: "Parts" },
          { value: "both", label: "Both" },
        ]}
        onChange={(chosen) => actions.setDiscoveryOptions({ level: chosen })}
      />
      <NumberField
        label="Search every … frames"
        value={every}
        max={MOST_FRAMES_BETWEEN}
        onChange={(value) => actions.setDiscoveryOptions({ every: value })}
      />
      <NumberField
        label="Objects at a time, at most"
        value={max_objects}
        max={MOST_OBJECTS}
        onChange={(value) => actions.setDiscoveryOptions({ max_objects: value })}
      />
      <NumberField
        label="Score from, in %"
        value={Math.round(100 * min_score)}
        min={0}
        max={100}
        onChange={(value) => actions.setDiscoveryOptions({ min_score: value / 100 })}
      />
    </details>
  );
}

/** A field for a whole number; one out of range is drawn in when the field is left. */
function NumberField(props: {
  label: string;
  value: number;
  min?: number;
  max: number;
  onChange: (value: number) => void;
}) {
  const { label, value, min = 1, max, onChange } = props;
  return (
    <label className="find__option">
      <span>{label}</span>
      <input
        key={value}
        className="input input--number num"
        type="number"
        min={min}
        max={max}
        defaultValue={value}
        onBlur={(event) => {
          const typed = Math.min(Math.max(Math.round(event.currentTarget.valueAsNumber), min), max);
          if (Number.isNaN(typed)) event.currentTarget.value = String(value);
          else {
            event.currentTarget.value = String(typed);
            onChange(typed);
          }
        }}
        onKeyDown={(event) => {
          if (event.key === "Enter") event.currentTarget.blur();
        }}
      />
    </label>
  );
}
