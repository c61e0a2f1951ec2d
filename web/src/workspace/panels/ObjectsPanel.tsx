import { Eye, EyeOff, Lock, LockOpen, MoreHorizontal, Palette, Pencil, Plus, RotateCcw, Trash2 } from "lucide-react";
import { useRef, useState } from "react";
import type { SegmentObject, Status } from "../../api/types";
import type { ShownMask } from "../../media/masks";
import { IconButton, InlineText, MenuButton } from "../../ui/kit";
import * as actions from "../model/actions";
import { useWorkspace } from "../model/store";
import { useFrameMasks } from "../model/useFrameMasks";

const CLASS_LIST = "object-classes";

export function ObjectsPanel() {
  const objects = useWorkspace((state) => state.objects);
  const selected = useWorkspace((state) => state.selected);
  const drafting = useWorkspace((state) => state.drafting);
  const frame = useWorkspace((state) => state.frame);
  const classes = useWorkspace((state) => state.project?.classes);
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
          {objects.map((object, i) => (
            <ObjectRow
              key={object.id}
              object={object}
              number={i + 1}
              isSelected={object.id === selected}
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
      <datalist id={CLASS_LIST}>
        {(classes ?? []).map(({ name }) => (
          <option key={name} value={name} />
        ))}
      </datalist>
    </section>
  );
}

const STATUS_TEXT: Readonly<Record<Status, string>> = {
  present: "present",
  uncertain: "uncertain",
  occluded: "out of view",
  lost: "lost",
};

function ObjectRow(props: { object: SegmentObject; number: number; isSelected: boolean; mask: ShownMask | undefined }) {
  const { object, isSelected, mask } = props;
  const renaming = useWorkspace((state) => state.renaming === object.id);
  const color = useRef<HTMLInputElement>(null);
  const [isEditingClass, setEditingClass] = useState(false);
  const classes = ["object", isSelected && "object--selected", object.hidden && "object--hidden"]
    .filter(Boolean)
    .join(" ");
  const select = () => actions.select(object.id);
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: number keys and the swatch button select too
    <li className={classes} aria-current={isSelected} onClick={select} data-testid={`object-${object.id}`}>
      <button
        type="button"
        className="object__swatch"
        style={{ background: object.color }}
        aria-label={`Select ${object.name}`}
        data-tip="Select"
        data-keys={props.number <= 9 ? String(props.number) : undefined}
        onClick={select}
      >
        {props.number <= 9 ? props.number : ""}
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
          <InlineText
            className="object__class"
            label="Class"
            value={object.class_name}
            placeholder="add class"
            list={CLASS_LIST}
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
