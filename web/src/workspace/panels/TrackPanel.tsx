import {
  ArrowLeft,
  ArrowLeftRight,
  ArrowRight,
  Check,
  CircleStop,
  Crosshair,
  ListChecks,
  Play,
  RefreshCw,
} from "lucide-react";
import { useState } from "react";
import type { Direction } from "../../api/types";
import { isAnythingTracked, numStale, numUntracked } from "../../lib/coverage";
import { duration, plural } from "../../lib/text";
import { Button, IconButton, Progress, Segmented } from "../../ui/kit";
import * as actions from "../model/actions";
import { useWorkspace } from "../model/store";
import { DiscoveryResult, FindEverything } from "./FindEverything";

/** Tracking: started, followed and reviewed. */
export function TrackPanel() {
  const job = useWorkspace((state) => state.job);
  return (
    <section className="panel" aria-label="Tracking">
      {job ? <Running /> : <Start />}
    </section>
  );
}

function Start() {
  const [direction, setDirection] = useState<Direction>("both");
  const objects = useWorkspace((state) => state.objects);
  const timeline = useWorkspace((state) => state.timeline);
  const range = useWorkspace((state) => state.range);
  const looping = useWorkspace((state) => state.looping);
  const stale = numStale(timeline?.objects ?? []);
  const isTracked = isAnythingTracked(timeline?.objects ?? []);
  const hasPrompts = objects.some((object) => object.prompted_frames.length);
  const limits = range && !looping ? range : null;
  const untracked = numUntracked(timeline?.objects ?? [], limits);
  return (
    <>
      <header className="panel__head">
        <h2 className="panel__title">Track</h2>
        <span className="panel__space" />
        {limits && (
          <button
            type="button"
            className="chip chip--button num"
            data-tip="Only these frames are tracked. Click for the whole video"
            onClick={() => actions.setRange(null)}
          >
            {limits.start} – {limits.stop - 1} ×
          </button>
        )}
      </header>
      <DiscoveryResult />
      <Segmented
        label="Direction"
        value={direction}
        options={[
          { value: "backward", label: "Back", icon: ArrowLeft },
          { value: "both", label: "Both", icon: ArrowLeftRight },
          { value: "forward", label: "Forward", icon: ArrowRight },
        ]}
        onChange={setDirection}
      />
      {stale > 0 && (
        <Button
          variant="primary"
          wide
          icon={RefreshCw}
          keys="⇧ T"
          tip="Track only the frames that your corrections affect"
          onClick={() => void actions.track(direction, "changed")}
        >
          Update {plural(stale, "frame")}
        </Button>
      )}
      {untracked > 0 && (
        <Button
          variant={stale > 0 ? undefined : "primary"}
          wide
          icon={Play}
          keys="T"
          tip="Track only frames that have not been tracked yet"
          onClick={() => void actions.track(direction, "missing")}
        >
          Track remaining frames
        </Button>
      )}
      <Button
        variant={stale > 0 || untracked > 0 || isTracked ? undefined : "primary"}
        wide
        icon={Play}
        keys={untracked > 0 ? undefined : "T"}
        tip={hasPrompts ? "Track all objects through the video" : "Click an object first"}
        disabled={!hasPrompts}
        onClick={() => void actions.track(direction)}
      >
        {isTracked ? "Track all again" : `Track ${objects.length > 1 ? plural(objects.length, "object") : "object"}`}
      </Button>
      <FindEverything />
      <Review />
    </>
  );
}

function Review() {
  const frame = useWorkspace((state) => state.frame);
  const range = useWorkspace((state) => state.range);
  const timeline = useWorkspace((state) => state.timeline);
  const medium = useWorkspace((state) => state.medium);
  if (!timeline || !medium || !timeline.objects.some((lane) => /[puol]/.test(lane.status))) return null;
  const numAccepted = timeline.accepted.reduce((sum, [start, stop]) => sum + stop - start, 0);
  const isAccepted = timeline.accepted.some(([start, stop]) => start <= frame && frame < stop);
  const numReview = timeline.review.length;
  const isTracked = isAnythingTracked(timeline.objects);
  const summary = isTracked ? "No frames need review" : "Not tracked yet";
  return (
    <div className="review">
      <div className="review__line">
        <span>{numReview ? `${plural(numReview, "frame")} to review` : summary}</span>
        <span className="num review__share">{Math.round((100 * numAccepted) / medium.num_frames)} % accepted</span>
      </div>
      <Progress value={numAccepted / medium.num_frames} label="Accepted frames" />
      <div className="review__buttons">
        <Button
          icon={Crosshair}
          tip="Go to the frame that most needs a check"
          keys="F"
          disabled={!isTracked}
          onClick={() => void actions.seekNextToReview()}
        >
          Next to review
        </Button>
        <IconButton
          icon={Check}
          label={isAccepted ? "Reopen this frame" : "Accept this frame: its masks are right"}
          keys="A"
          pressed={isAccepted}
          onClick={actions.toggleAccepted}
        />
        <IconButton
          icon={ListChecks}
          label={range ? "Accept the frames of the range" : "Accept all frames"}
          keys="⇧ A"
          onClick={actions.acceptRange}
        />
      </div>
    </div>
  );
}

function Running() {
  const job = useWorkspace((state) => state.job);
  const following = useWorkspace((state) => state.following);
  if (!job) return null;
  const title = job.kind === "track" ? "Tracking" : "Finding everything";
  const isRun = job.kind !== "propose"; // it goes from frame to frame
  return (
    <>
      <header className="panel__head">
        <h2 className="panel__title">{job.state === "queued" ? "Waiting in the queue" : title}</h2>
        <span className="panel__space" />
        <span className="panel__count num">
          {job.done}
          {job.total !== null && ` / ${job.total}`}
        </span>
      </header>
      <Progress value={job.total ? job.done / job.total : null} label={title} />
      <div className="running__facts num">
        <span>{job.fps ? (isRun ? `${job.fps.toFixed(1)} frames/s` : "") : "Starting"}</span>
        <span>{job.eta_s !== null && job.eta_s > 0 ? `${duration(job.eta_s)} left` : ""}</span>
      </div>
      <div className="running__buttons">
        <Button
          icon={CircleStop}
          onClick={actions.cancelJob}
          keys="Esc"
          tip={
            job.kind === "track" ? "Frames tracked so far are kept" : isRun ? "What has been found is kept" : undefined
          }
        >
          Stop
        </Button>
        {!following && isRun && (
          <Button tip="Show each frame as it is tracked" onClick={actions.followTracking}>
            Follow
          </Button>
        )}
      </div>
    </>
  );
}
