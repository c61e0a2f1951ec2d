import type { MediumState, Project } from "../api/types";
import { STATE_NAMES, STATES } from "../lib/mediaList";
import { plural } from "../lib/text";

const TIPS: Readonly<Record<MediumState, string>> = {
  new: "Nothing is marked yet",
  work: "Some frames have no masks, or masks that a correction has made out of date",
  review: "Every frame has masks; not all of them are accepted",
  accepted: "Every frame is accepted",
};

/** How far a project is: its files by state, each a filter of the list, and its accepted frames. */
export function ProjectProgress(props: {
  project: Project;
  state: MediumState | null;
  onState: (state: MediumState | null) => void;
}) {
  const { num_media: total, progress } = props.project;
  const share = (count: number) => `${(100 * count) / Math.max(1, total)}%`;
  return (
    <section className="project-progress" aria-label="Progress">
      <div className="project-progress__bar" aria-hidden>
        {[...STATES].reverse().map((state) => (
          <span
            key={state}
            className={`state-bar state-bar--${state}`}
            style={{ width: share(progress.media[state]) }}
          />
        ))}
      </div>
      <div className="project-progress__line">
        <ul className="state-filters" aria-label="Show files by state">
          <li>
            <button
              type="button"
              className="state-filter"
              aria-pressed={props.state === null}
              onClick={() => props.onState(null)}
            >
              All <span className="num">{total.toLocaleString("en")}</span>
            </button>
          </li>
          {STATES.map((state) => (
            <li key={state}>
              <button
                type="button"
                className="state-filter"
                data-tip={TIPS[state]}
                aria-pressed={props.state === state}
                onClick={() => props.onState(props.state === state ? null : state)}
              >
                <span className={`state-dot state-dot--${state}`} aria-hidden />
                {STATE_NAMES[state]} <span className="num">{progress.media[state].toLocaleString("en")}</span>
              </button>
            </li>
          ))}
        </ul>
        <p className="project-progress__facts num" data-tip="A photo counts as one frame">
          {`${progress.num_accepted.toLocaleString("en")} of ${plural(progress.num_frames, "frame")} accepted · ${plural(progress.num_objects, "object")}`}
        </p>
      </div>
    </section>
  );
}
