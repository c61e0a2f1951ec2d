import { Film, Image as ImageIcon, MoreHorizontal, Pencil, Trash2 } from "lucide-react";
import type { Medium } from "../api/types";
import { clock } from "../lib/lanes";
import { plural } from "../lib/text";
import { go } from "../state/route";
import { MenuButton } from "../ui/kit";

/** An image or video of a project; a click opens it. */
export function MediumCard(props: { medium: Medium; onRename: () => void; onDelete: () => void }) {
  const { medium } = props;
  return (
    <li className="card">
      <a
        className="card__link"
        href={`/p/${medium.project_id}/m/${medium.id}`}
        onClick={(event) => {
          if (event.metaKey || event.ctrlKey) return;
          event.preventDefault();
          go({ screen: "workspace", pid: medium.project_id, mid: medium.id, frame: 0 });
        }}
      >
        <span className="card__picture">
          <img src={medium.thumbnail_url} alt="" loading="lazy" />
          <span className="card__badge num">
            {medium.kind === "video" ? <Film size={11} aria-hidden /> : <ImageIcon size={11} aria-hidden />}
            {medium.kind === "video" ? clock(medium.duration_s) : "Image"}
          </span>
        </span>
        <span className="card__name">{medium.name}</span>
        <span className="card__facts num">
          {medium.width} × {medium.height}
          {medium.kind === "video" && ` · ${plural(medium.num_frames, "frame")}`}
          {medium.num_objects > 0 && ` · ${plural(medium.num_objects, "object")}`}
        </span>
      </a>
      <div className="card__menu">
        <MenuButton
          small
          label={`More actions for ${medium.name}`}
          icon={MoreHorizontal}
          items={[
            { label: "Rename", icon: Pencil, run: props.onRename },
            { label: "Delete", icon: Trash2, danger: true, run: props.onDelete },
          ]}
        />
      </div>
    </li>
  );
}
