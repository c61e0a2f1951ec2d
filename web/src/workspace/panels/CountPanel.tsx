import { ChevronDown, ChevronRight, FlipHorizontal2, Slash, Spline, Trash2 } from "lucide-react";
import { useEffect } from "react";
import type { CountAnswer, CountInfo, Crossing } from "../../api/types";
import { stepPath, type Zone } from "../../lib/zones";
import { Button, IconButton, InlineText, Segmented, Spinner } from "../../ui/kit";
import * as actions from "../model/actions";
import { useWorkspace } from "../model/store";

const MAX_ROWS = 200;
/** Units of the diagrams; they are stretched to the panel's width. */
const WIDTH = 260;
const HEIGHT = 48;

export function CountPanel() {
  const { isOpen, isRunning } = useWorkspace((state) => state.counting);
  const objects = useWorkspace((state) => state.objects);
  const timeline = useWorkspace((state) => state.timeline);
  // biome-ignore lint/correctness/useExhaustiveDependencies: masks have changed where the objects or the lanes have
  useEffect(() => void actions.recount(), [objects, timeline]);
  return (
    <section className="panel count" aria-label="Count">
      <header className="panel__head">
        <button type="button" className="count__toggle" aria-expanded={isOpen} onClick={actions.toggleCounting}>
          {isOpen ? <ChevronDown size={14} aria-hidden /> : <ChevronRight size={14} aria-hidden />}
          <h2 className="panel__title">Count</h2>
        </button>
        <span className="panel__space" />
        {isOpen && isRunning && <Spinner label="Counting" />}
      </header>
      {isOpen && <Counts />}
    </section>
  );
}

function Counts() {
  const { zones, drawing, anchor, answer, error } = useWorkspace((state) => state.counting);
  return (
    <div className="count__body">
      <div className="count__tools">
        <Button
          icon={Slash}
          tip="Click two points: who crosses the line is counted"
          aria-pressed={drawing?.kind === "line"}
          onClick={() => actions.drawZone("line")}
        >
          Line
        </Button>
        <Button
          icon={Spline}
          tip="Click the corners, then press Enter or click the first one again"
          aria-pressed={drawing?.kind === "region"}
          onClick={() => actions.drawZone("region")}
        >
          Region
        </Button>
      </div>
      {drawing && (
        <p className="count__hint" role="status">
          {drawing.kind === "line"
            ? "Click the two ends of the line. Esc cancels."
            : "Click the corners. Enter completes, Esc cancels."}
        </p>
      )}
      {error && <p className="count__hint">{error}</p>}
      {answer ? (
        <Visible answer={answer} />
      ) : (
        !error && <p className="count__hint">Nothing to count yet: track first.</p>
      )}
      {zones.map((zone) => (
        <ZoneCounts key={zone.name} zone={zone} answer={answer} />
      ))}
      {zones.length > 0 && (
        <Segmented
          label="Point of an object that crosses"
          value={anchor}
          options={[
            { value: "center", label: "Centre" },
            { value: "bottom", label: "Lower edge" },
          ]}
          onChange={actions.setAnchor}
        />
      )}
    </div>
  );
}

function Visible({ answer }: { answer: CountAnswer }) {
  const { objects, visible } = answer;
  const peak = visible.count.reduce((best, value, i) => (value > visible.count[best] ? i : best), 0);
  return (
    <div className="count__zone">
      <div className="count__line">
        <span>
          {text(objects)} {objects.count === 1 ? "object" : "different objects"}
        </span>
        <span className="panel__space" />
        <button
          type="button"
          className="chip chip--button num"
          data-tip="Go to the frame with the most objects"
          onClick={() => actions.showCounted(visible.frames[peak], null)}
        >
          at most {visible.count[peak]}
        </button>
      </div>
      {Object.entries(objects.classes).map(([name, count]) => (
        <div key={name} className="count__class">
          <span>{name}</span>
          <span className="num">{text(count)}</span>
        </div>
      ))}
      <Diagram label="Visible objects" series={visible} frames={visible.frames} />
    </div>
  );
}

function ZoneCounts({ zone, answer }: { zone: Zone; answer: CountAnswer | null }) {
  const counted = [...(answer?.lines ?? []), ...(answer?.regions ?? [])].find(({ name }) => name === zone.name);
  const inside = answer?.regions.find(({ name }) => name === zone.name)?.inside;
  return (
    <div className="count__zone">
      <div className="count__line">
        <InlineText
          className="count__name"
          label={`Name of the ${zone.kind}`}
          value={zone.name}
          onChange={(name) => actions.renameZone(zone.name, name)}
        />
        <span className="panel__space" />
        {counted && (
          <span className="num" data-testid="zone-count">
            in {text(counted.in)} · out {text(counted.out)}
          </span>
        )}
        {zone.kind === "line" && (
          <IconButton
            small
            icon={FlipHorizontal2}
            label="Turn round: in becomes out"
            onClick={() => actions.turnLine(zone.name)}
          />
        )}
        <IconButton small icon={Trash2} label={`Delete ${zone.name}`} onClick={() => actions.removeZone(zone.name)} />
      </div>
      {answer && inside && <Diagram label={`Objects in ${zone.name}`} series={inside} frames={answer.visible.frames} />}
      {counted && counted.crossings.length > 0 && (
        <ul className="count__crossings">
          {counted.crossings.slice(0, MAX_ROWS).map((crossing) => (
            <CrossingRow
              key={`${crossing.object_id}-${crossing.frame_index}-${crossing.direction}-${crossing.counted}`}
              crossing={crossing}
            />
          ))}
          {counted.crossings.length > MAX_ROWS && (
            <li className="count__hint">and {counted.crossings.length - MAX_ROWS} more: masklet count lists all</li>
          )}
        </ul>
      )}
    </div>
  );
}

function CrossingRow({ crossing }: { crossing: Crossing }) {
  const object = useWorkspace((state) => state.objects.find(({ id }) => id === crossing.object_id));
  const isShown = useWorkspace((state) => state.frame === crossing.frame_index);
  const when = crossing.time_s === null ? "" : `${crossing.time_s.toFixed(1)} s`;
  return (
    <li>
      <button
        type="button"
        className={`count__crossing${isShown ? " count__crossing--shown" : ""}`}
        data-tip={`Seen clearly before on frame ${crossing.before_frame}, after on frame ${crossing.after_frame}`}
        onClick={() => actions.showCounted(crossing.frame_index, crossing.object_id)}
      >
        <span className="count__swatch" style={{ background: object?.color }} />
        <span className="count__who">{object?.name ?? `Object ${crossing.object_id}`}</span>
        <span>{crossing.counted ? crossing.direction : `${crossing.direction}?`}</span>
        <span className="num">{when}</span>
        <span className="num">{Math.round(100 * crossing.probability)} %</span>
      </button>
    </li>
  );
}

interface SeriesOf {
  readonly count: readonly number[];
  readonly low: readonly number[];
  readonly high: readonly number[];
}

/** A step diagram with its interval; a click goes to the frame. */
function Diagram({ label, series, frames }: { label: string; series: SeriesOf; frames: readonly number[] }) {
  const frame = useWorkspace((state) => state.frame);
  const highest = Math.max(
    1,
    ...[series.count, series.high].map((values) => values.reduce((a, b) => Math.max(a, b), 0)),
  );
  const step = frames.length > 1 ? frames[1] - frames[0] : 1;
  const path = (values: readonly number[]) => stepPath(values, highest, WIDTH, HEIGHT);
  const x = (((frame - frames[0]) / step + 0.5) / frames.length) * WIDTH;
  return (
    <div className="count__diagram">
      <span className="count__highest num">{highest}</span>
      {/* biome-ignore lint/a11y/useKeyWithClickEvents: the timeline below is the way for keys */}
      <svg
        viewBox={`0 -1 ${WIDTH} ${HEIGHT + 2}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={`${label} over time, at most ${highest}`}
        onClick={(event) => {
          const box = event.currentTarget.getBoundingClientRect();
          const index = Math.floor(((event.clientX - box.left) / box.width) * frames.length);
          actions.showCounted(frames[Math.min(Math.max(index, 0), frames.length - 1)], null);
        }}
      >
        <path className="count__high" d={`${path(series.high)}V${HEIGHT}H0Z`} />
        <path className="count__low" d={`${path(series.low)}V${HEIGHT}H0Z`} />
        <path className="count__value" d={path(series.count)} />
        {x >= 0 && x <= WIDTH && <line className="count__now" x1={x} x2={x} y1={0} y2={HEIGHT} />}
      </svg>
    </div>
  );
}

/** Return a count, with its interval where that leaves something open. */
const text = ({ count, low, high }: CountInfo): string =>
  low === count && high === count ? `${count}` : `${count} (${low}–${high})`;
