import { Check, ChevronRight, RotateCcw } from "lucide-react";
import { Button } from "../../ui/kit";
import * as actions from "../model/actions";
import { useWorkspace } from "../model/store";
import { FindEverything } from "./FindEverything";

/** Accepts a photo, as the review accepts frames of a video, and goes on to the next file. */
export function PhotoPanel() {
  const timeline = useWorkspace((state) => state.timeline);
  const next = useWorkspace((state) => state.neighbours?.next ?? null);
  const hasMasks = timeline?.objects.some((lane) => lane.status !== ".") ?? false;
  const isAccepted = (timeline?.accepted.length ?? 0) > 0;
  return (
    <section className="panel" aria-label="Review">
      <div className="review__line" role="status">
        <span>
          {isAccepted ? "This photo is accepted" : hasMasks ? "Are all masks right?" : "Nothing is marked yet"}
        </span>
      </div>
      <FindEverything />
      <Button
        wide
        variant={hasMasks && !isAccepted ? "primary" : "secondary"}
        icon={isAccepted ? RotateCcw : Check}
        keys="A"
        tip={isAccepted ? "Take acceptance back, to change masks" : "Nothing changes accepted masks any more"}
        disabled={!hasMasks}
        onClick={actions.toggleAccepted}
      >
        {isAccepted ? "Reopen this photo" : "Accept this photo"}
      </Button>
      {next !== null && (
        <Button
          wide
          variant={isAccepted ? "primary" : "secondary"}
          icon={ChevronRight}
          keys="Ctrl →"
          onClick={() => actions.openSibling(1)}
        >
          Next file
        </Button>
      )}
    </section>
  );
}
