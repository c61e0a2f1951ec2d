import { Check, Eye, EyeOff, Lock, LockOpen, Play, Trash2, X } from "lucide-react";
import { useShallow } from "zustand/react/shallow";
import { IconButton } from "../../ui/kit";
import * as actions from "../model/actions";
import { isVideo, selectedObjects, useWorkspace } from "../model/store";
import { ClassField } from "./ClassField";

/** What can be done with several selected objects at once; each is one step to undo. */
export function SelectionBar() {
  const objects = useWorkspace(useShallow(selectedObjects));
  const hasTimeline = useWorkspace(isVideo);
  const job = useWorkspace((state) => state.job);
  if (objects.length < 2) return null;
  const ids = objects.map((object) => object.id);
  const names = new Set(objects.map((object) => object.class_name));
  const isHidden = objects.every((object) => object.hidden);
  const isLocked = objects.every((object) => object.locked);
  return (
    <div className="selection" role="toolbar" aria-label="Selected objects">
      <div className="selection__line">
        <strong className="selection__count num">{objects.length} selected</strong>
        <ClassField
          label="Class of the selected objects"
          value={names.size === 1 ? objects[0].class_name : ""}
          placeholder={names.size === 1 ? "add class" : "several classes"}
          onChange={(class_name) => actions.updateObjects(ids, { class_name })}
        />
        <span className="panel__space" />
        <IconButton small icon={X} label="Select one" keys="Esc" onClick={() => actions.select(null)} />
      </div>
      <div className="selection__line">
        {hasTimeline && (
          <IconButton
            icon={Play}
            label="Track only these objects"
            disabled={job !== null}
            onClick={() => void actions.track("both", "all", ids)}
          />
        )}
        <IconButton
          icon={Check}
          label={hasTimeline ? "Accept their masks on all frames, or in the range" : "Accept their masks"}
          keys="⇧ A"
          onClick={actions.acceptRange}
        />
        <IconButton
          icon={isLocked ? Lock : LockOpen}
          label={isLocked ? "Unlock" : "Lock"}
          onClick={() => actions.updateObjects(ids, { locked: !isLocked })}
        />
        <IconButton
          icon={isHidden ? EyeOff : Eye}
          label={isHidden ? "Show" : "Hide"}
          onClick={() => actions.updateObjects(ids, { hidden: !isHidden })}
        />
        <span className="panel__space" />
        <IconButton
          danger
          icon={Trash2}
          label={`Delete ${objects.length} objects`}
          keys="⇧ ⌫"
          onClick={() => actions.deleteObjects(ids)}
        />
      </div>
    </div>
  );
}
