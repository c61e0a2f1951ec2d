import {
  Eye,
  EyeOff,
  Lock,
  LockOpen,
  MoreHorizontal,
  Palette,
  Pencil,
  Plus,
  RotateCcw,
  ScanSearch,
  Trash2,
} from "lucide-react";
import { type MouseEvent, useRef, useState } from "react";
import type { SegmentObject, Status } from "../../api/types";
import type { ShownMask } from "../../media/masks";
import { IconButton, InlineText, MenuButton } from "../../ui/kit";
import * as actions from "../model/actions";
import { useWorkspace } from "../model/store";
import { useFrameMasks } from "../model/useFrameMasks";
import { ClassField } from "./ClassField";
import { SelectionBar } from "./SelectionBar";

export function ObjectsPanel() {
  const objects = useWorkspace((state) => state.objects);
  const selected = useWorkspace((state) => state.selected);
  const drafting = useWorkspace((state) => state.drafting);
  const frame = useWorkspace((state) => state.frame);
  const others = useWorkspace((state) => state.others);
  const masks = useFrameMasks(frame);
  return (
    <section className="panel panel--grow" aria-label="Objects">
      <header className="panel__head">
        <h2 className="panel__title">Objects</h2>
        {objects.length > 0 && <span className="panel__count num">{objects.length}</span>}
        <span className="panel__space" />
        <IconButton small icon={Plus} label="New object" keys="N" pressed={drafting} onClick={actions.draftObject} />
      </header>
      {objects.length === 0 ? (
        <div className="panel__empty">
          <p>No objects yet.</p>
          <p>Each object you click gets its own colour, name and class.</p>
        </div>
      ) : (
        <ul className="objects">
          {objects.map((object) => (
            <ObjectRow
              key={object.id}
              object={object}
              isSelected={object.id === selected || others.includes(object.id)}
              mask={masks?.objects.find((mask) => mask.object_id === object.id)}
            />
          ))}
          {drafting && (
            <li className="object object--draft">
              <span className="object__swatch object__swatch--draft" />
              <span>New object: click it in the picture</span>
            </li>
          )}
        </ul>
      )}
      <SelectionBar />
    </section>
  );
}

const STATUS_TEXT: Readonly<Record<Status, string>> = {
  present: "present",
  uncertain: "uncertain",
  occluded: "out of view",
  lost: "lost",
};

function ObjectRow(props: { object: SegmentObject; isSelected: boolean; mask: ShownMask | undefined }) {
  const { object, isSelected, mask } = props;
  const renaming = useWorkspace((state) => state.renaming === object.id);
  const color = useRef<HTMLInputElement>(null);
  const [isEditingClass, setEditingClass] = useState(false);
  const classes = ["object", isSelected && "object--selected", object.hidden && "object--hidden"]
    .filter(Boolean)
    .join(" ");
  const select = (event?: MouseEvent) => {
    if (event?.shiftKey) actions.selectUpTo(object.id);
    else if (event?.ctrlKey || event?.metaKey) actions.toggleSelected(object.id);
    else actions.select(object.id);
  };
  // A digit selects an object only where no class has that key.
  const number = object.id > 0 && object.id <= 99 ? String(object.id) : "";
  const isKeyFree = useWorkspace((state) => !state.project?.classes.some((entry) => entry.key === number));
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: number keys and the swatch button select too
    <li className={classes} aria-current={isSelected} onClick={select} data-testid={`object-${object.id}`}>
      <button
        type="button"
        className="object__swatch"
        style={{ background: object.color }}
        aria-label={`Select ${object.name}`}
        data-tip="Select; with Ctrl or Shift several"
        data-keys={isKeyFree && object.id <= 9 ? number : undefined}
        onClick={(event) => {
          event.stopPropagation();
          select(event);
        }}
      >
        {number}
      </button>
      <input
        ref={color}
        className="visually-hidden"
        type="color"
        tabIndex={-1}
        aria-label={`Colour of ${object.name}`}
        defaultValue={object.color}
        onBlur={(event) => {
          if (event.currentTarget.value !== object.color)
            actions.updateObject(object.id, { color: event.currentTarget.value });
        }}
        onChange={() => {}}
      />
      <div className="object__text">
        <InlineText
          className="object__name"
          label="Name"
          value={object.name}
          editing={renaming}
          onDone={actions.stopRenaming}
          onChange={(name) => actions.updateObject(object.id, { name })}
        />
        <div className="object__facts">
          <ClassField
            label="Class"
            value={object.class_name}
            placeholder="add class"
            editing={isEditingClass}
            onDone={() => setEditingClass(false)}
            onChange={(class_name) => actions.updateObject(object.id, { class_name })}
          />
          {mask && (
            <span
              className={`status status--${mask.status}`}
              data-tip={`How sure the model is of this mask: ${Math.round(mask.confidence * 100)} %`}
            >
              {mask.status === "present" ? `${Math.round(mask.confidence * 100)} %` : STATUS_TEXT[mask.status]}
            </span>
          )}
        </div>
      </div>
      <div className="object__buttons">
        <IconButton
          small
          className={object.locked ? "object__sticky" : "object__extra"}
          icon={object.locked ? Lock : LockOpen}
          label={object.locked ? "Unlock" : "Lock: protect its masks from changes"}
          pressed={object.locked}
          onClick={(event) => {
            event.stopPropagation();
            actions.updateObject(object.id, { locked: !object.locked });
          }}
        />
        <IconButton
          small
          className={object.hidden ? "object__sticky" : "object__extra"}
          icon={object.hidden ? EyeOff : Eye}
          label={object.hidden ? "Show" : "Hide"}
          onClick={(event) => {
            event.stopPropagation();
            actions.updateObject(object.id, { hidden: !object.hidden });
          }}
        />
        <MenuButton
          small
          label={`More actions for ${object.name}`}
          icon={MoreHorizontal}
          items={[
            { label: "Rename", icon: Pencil, keys: "F2", run: () => actions.startRenaming(object.id) },
            { label: "Class", icon: Pencil, run: () => setEditingClass(true) },
            {
              label: object.locked ? "Unlock" : "Lock",
              icon: object.locked ? LockOpen : Lock,
              run: () => actions.updateObject(object.id, { locked: !object.locked }),
            },
            {
              label: object.hidden ? "Show" : "Hide",
              icon: object.hidden ? Eye : EyeOff,
              run: () => actions.updateObject(object.id, { hidden: !object.hidden }),
            },
            {
              label: "Zoom to it",
              icon: ScanSearch,
              keys: "Z",
              run: () => {
                select();
                actions.zoomToSelection();
              },
            },
            { label: "Colour", icon: Palette, run: () => color.current?.showPicker() },
            {
              label: "Clear its clicks on this frame",
              icon: RotateCcw,
              keys: "⌫",
              run: () => {
                select();
                actions.clearPrompt();
              },
            },
            { label: "Delete", icon: Trash2, keys: "⇧ ⌫", danger: true, run: () => actions.deleteObject(object.id) },
          ]}
        />
      </div>
    </li>
  );
}
