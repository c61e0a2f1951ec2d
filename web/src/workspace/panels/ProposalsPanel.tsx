import { Check, Play, RotateCcw, X } from "lucide-react";
import { useShallow } from "zustand/react/shallow";
import type { ProposalLevel } from "../../lib/proposals";
import { plural } from "../../lib/text";
import { Button, IconButton, Segmented } from "../../ui/kit";
import * as actions from "../model/actions";
import { chosenProposals, isVideo, offeredProposals, useWorkspace } from "../model/store";

const LEVELS: readonly { value: ProposalLevel; label: string }[] = [
  { value: "objects", label: "Objects" },
  { value: "parts", label: "Parts" },
  { value: "both", label: "Both" },
];

/** Filters proposals while a user decides about them, and accepts many at once. */
export function ProposalsPanel() {
  const proposals = useWorkspace((state) => state.proposals);
  const frame = useWorkspace((state) => state.frame);
  const offered = useWorkspace(useShallow(offeredProposals));
  const numChosen = useWorkspace((state) => chosenProposals(state).length);
  const isMarked = useWorkspace(({ proposals }) => (proposals?.marked.size ?? 0) > 0) && numChosen < offered.length;
  const hasTimeline = useWorkspace(isVideo);
  if (!proposals) return null;
  const { filter, list, refused, accepted } = proposals;
  const isElsewhere = proposals.frame !== frame;
  return (
    <section className="panel" aria-label="Proposals">
      <header className="panel__head">
        <h2 className="panel__title">Proposals</h2>
        <span className="panel__count num" data-tip="Shown, of all that were found" data-testid="offered">
          {offered.length} / {list.length}
        </span>
        <span className="panel__space" />
        <IconButton small icon={X} label="Close: what you accepted stays" keys="Esc" onClick={actions.closeProposals} />
      </header>
      {isElsewhere && (
        <Button wide onClick={() => actions.seek(proposals.frame)}>
          Go to frame {proposals.frame}, where they are
        </Button>
      )}
      <Segmented
        label="Which proposals"
        value={filter.level}
        options={LEVELS}
        onChange={(level) => actions.setProposalFilter({ level })}
      />
      <Threshold
        label="Confidence from"
        value={filter.minConfidence}
        position={filter.minConfidence}
        onChange={(minConfidence) => actions.setProposalFilter({ minConfidence })}
      />
      <Threshold
        label="Size from"
        value={filter.minShare}
        position={Math.cbrt(filter.minShare)}
        onChange={(position) => actions.setProposalFilter({ minShare: position ** 3 })}
      />
      <Threshold
        label="Size up to"
        value={filter.maxShare}
        position={Math.cbrt(filter.maxShare)}
        onChange={(position) => actions.setProposalFilter({ maxShare: position ** 3 })}
      />
      <Button
        variant="primary"
        wide
        icon={Check}
        keys="⇧ Enter"
        tip="Make an object of each proposal that is shown. Ctrl and a click marks some: then of those"
        disabled={!offered.length}
        onClick={() => void actions.acceptOffered()}
      >
        {offered.length
          ? `Accept ${plural(numChosen, isMarked ? "marked proposal" : "proposal")}`
          : "Nothing is left to accept"}
      </Button>
      {hasTimeline && (
        <Button
          wide
          icon={Play}
          keys="Ctrl Enter"
          tip="Accept them, and track all accepted ones through the video"
          disabled={!offered.length && !accepted.size}
          onClick={() => void actions.acceptAndTrack()}
        >
          {offered.length ? "Accept and track" : "Track the accepted ones"}
        </Button>
      )}
      {refused.size > 0 && (
        <Button variant="ghost" wide icon={RotateCcw} onClick={actions.offerRefused}>
          Show {plural(refused.size, "refused proposal")} again
        </Button>
      )}
    </section>
  );
}

/** A slider for a share, 0..1. `position` is where the knob is: sizes have more room for small ones. */
function Threshold(props: { label: string; value: number; position: number; onChange: (position: number) => void }) {
  const percent = 100 * props.value;
  return (
    <label className="threshold">
      <span>{props.label}</span>
      <input
        className="slider"
        type="range"
        min={0}
        max={1000}
        value={Math.round(1000 * props.position)}
        onChange={(event) => props.onChange(Number(event.currentTarget.value) / 1000)}
      />
      <span className="num threshold__value">
        {percent > 0 && percent < 10 ? percent.toFixed(1) : Math.round(percent)} %
      </span>
    </label>
  );
}
