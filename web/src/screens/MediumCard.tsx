import { Film, Image as ImageIcon, MoreHorizontal, Pencil, RotateCcw, Trash2 } from "lucide-react";
import { useId } from "react";
import type { Medium } from "../api/types";
import { clock } from "../lib/lanes";
import { STATE_NAMES } from "../lib/mediaList";
import { ago, plural } from "../lib/text";
import { go } from "../state/route";
import { MenuButton, Progress } from "../ui/kit";

/** An image or video of a project, with its progress; a click opens it, its checkbox selects it. */
export function MediumCard(props: {
  medium: Medium;
  isSelected: boolean;
  /** Called with whether the files between this and the last one are meant, too. */
  onSelect: (isRange: boolean) => void;
  onRename: () => void;
  onTrash: () => void;
  onRestore: () => void;
}) {
  const { medium } = props;
  const id = useId();
  const isVideo = medium.kind === "video";
  const inTrash = medium.trashed_at !== null;
  const content = (
    <>
      <span className="card__picture">
        {inTrash ? (
          <Trash2 size={24} strokeWidth={1.4} aria-hidden />
        ) : (
          <img src={medium.thumbnail_url} alt="" loading="lazy" />
        )}
        <span className="card__badge num">
          {isVideo ? <Film size={11} aria-hidden /> : <ImageIcon size={11} aria-hidden />}
          {isVideo ? clock(medium.duration_s) : "Photo"}
        </span>
      </span>
      <span className="card__name" id={id}>
        {medium.name}
      </span>
    </>
  );
  return (
    <li className={props.isSelected ? "card card--selected" : "card"}>
      {inTrash ? (
        <div className="card__link">{content}</div>
      ) : (
        <a
          className="card__link"
          href={`/p/${medium.project_id}/m/${medium.id}`}
          onClick={(event) => {
            if (event.metaKey || event.ctrlKey || event.shiftKey) return;
            event.preventDefault();
            go({ screen: "workspace", pid: medium.project_id, mid: medium.id, frame: 0 });
          }}
        >
          {content}
        </a>
      )}
      <CardProgress medium={medium} />
      <input
        className="card__check"
        type="checkbox"
        aria-label={`Select ${medium.name}`}
        data-tip="Select (Shift: also those between)"
        checked={props.isSelected}
        onChange={(event) => props.onSelect((event.nativeEvent as MouseEvent).shiftKey === true)}
      />
      <div className="card__menu">
        <MenuButton
          small
          label={`More actions for ${medium.name}`}
          icon={MoreHorizontal}
          items={
            inTrash
              ? [{ label: "Restore", icon: RotateCcw, run: props.onRestore }]
              : [
                  { label: "Rename", icon: Pencil, run: props.onRename },
                  { label: "Move to trash", icon: Trash2, danger: true, run: props.onTrash },
                ]
          }
        />
      </div>
    </li>
  );
}

function CardProgress({ medium }: { medium: Medium }) {
  const { state, num_accepted, num_to_review } = medium.progress;
  const isVideo = medium.kind === "video";
  const facts = [
    medium.num_objects > 0 && plural(medium.num_objects, "object"),
    medium.trashed_at === null ? ago(medium.updated_at) : `deleted ${ago(medium.trashed_at)}`,
  ].filter(Boolean);
  return (
    <div className="card__progress">
      <span className="card__state">
        <span className={`state-dot state-dot--${state}`} aria-hidden />
        {STATE_NAMES[state]}
        {isVideo && state !== "new" && (
          <span
            className="num card__frames"
            data-tip={num_to_review ? `${plural(num_to_review, "frame")} to check` : undefined}
          >
            {`${num_accepted.toLocaleString("en")} / ${plural(medium.num_frames, "frame")} accepted`}
          </span>
        )}
      </span>
      {isVideo && state !== "new" && (
        <Progress value={num_accepted / medium.num_frames} label={`Accepted frames of ${medium.name}`} />
      )}
      <span
        className="card__facts num"
        data-tip={`${medium.width} × ${medium.height}${isVideo ? `, ${plural(medium.num_frames, "frame")}` : ""}${
          medium.classes.length ? `. Classes: ${medium.classes.join(", ")}` : ""
        }`}
      >
        {facts.join(" · ")}
      </span>
    </div>
  );
}
