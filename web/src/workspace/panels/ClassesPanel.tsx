import {
  ArrowDown,
  ArrowUp,
  ChevronRight,
  Keyboard,
  Merge,
  MoreHorizontal,
  Palette,
  Pencil,
  Plus,
  Trash2,
} from "lucide-react";
import { useRef, useState } from "react";
import type { ObjectClass } from "../../api/types";
import { plural } from "../../lib/text";
import { Button, Dialog, IconButton, InlineText, Kbd, MenuButton } from "../../ui/kit";
import * as actions from "../model/actions";
import { selectedObjects, useWorkspace } from "../model/store";
import { FREE_KEYS } from "./shortcuts";

/** The project's class list: a click or a hot key gives the selected objects a class, or the next new object. */
export function ClassesPanel() {
  const classes = useWorkspace((state) => state.project?.classes) ?? [];
  const nextClass = useWorkspace((state) => state.nextClass);
  const [isOpen, setOpen] = useState(true);
  const [isAdding, setAdding] = useState(false);
  return (
    <section className="panel classes" aria-label="Classes">
      <header className="panel__head">
        <button type="button" className="panel__fold" aria-expanded={isOpen} onClick={() => setOpen(!isOpen)}>
          <ChevronRight size={14} aria-hidden />
          <h2 className="panel__title">Classes</h2>
        </button>
        {classes.length > 0 && <span className="panel__count num">{classes.length}</span>}
        <span className="panel__space" />
        <IconButton
          small
          icon={Plus}
          label="Add a class"
          onClick={() => {
            setOpen(true);
            setAdding(true);
          }}
        />
      </header>
      {isOpen && (
        <ul className="classes__list">
          {!classes.length && !isAdding && (
            <li className="classes__empty">Say what the objects are, such as “cat” or “car”.</li>
          )}
          {classes.map((entry, i) => (
            <ClassRow key={entry.id} entry={entry} place={i} classes={classes} isNext={entry.name === nextClass} />
          ))}
          {isAdding && (
            <li className="class">
              <InlineText
                className="class__name"
                label="Name of the new class"
                placeholder="name"
                value=""
                editing
                onDone={() => setAdding(false)}
                onChange={(name) => {
                  if (name) void actions.addClass(name);
                }}
              />
            </li>
          )}
        </ul>
      )}
    </section>
  );
}

type Asking = "delete" | "merge" | "key" | null;

function ClassRow(props: { entry: ObjectClass; place: number; classes: readonly ObjectClass[]; isNext: boolean }) {
  const { entry, place, classes } = props;
  const [renaming, setRenaming] = useState(false);
  const [asking, setAsking] = useState<Asking>(null);
  const color = useRef<HTMLInputElement>(null);
  const numHere = useWorkspace((state) => state.objects.filter((object) => object.class_name === entry.name).length);
  const numSelected = useWorkspace((state) => selectedObjects(state).length);
  const others = classes.filter((other) => other.id !== entry.id);
  return (
    <li className={props.isNext ? "class class--next" : "class"} data-testid={`class-${entry.name}`}>
      <input
        ref={color}
        className="visually-hidden"
        type="color"
        tabIndex={-1}
        aria-label={`Colour of the class ${entry.name}`}
        defaultValue={entry.color}
        onBlur={(event) => {
          if (event.currentTarget.value !== entry.color)
            void actions.changeClass(entry.id, { color: event.currentTarget.value });
        }}
        onChange={() => {}}
      />
      {renaming ? (
        <InlineText
          className="class__name"
          label="Name of the class"
          value={entry.name}
          editing
          onDone={() => setRenaming(false)}
          onChange={(name) => void actions.changeClass(entry.id, { name })}
        />
      ) : (
        <button
          type="button"
          className="class__choose"
          data-tip={
            numSelected ? `Give ${plural(numSelected, "selected object")} this class` : "New objects get this class"
          }
          data-keys={entry.key?.toUpperCase()}
          aria-pressed={props.isNext}
          onClick={() => actions.assignClass(entry.name)}
        >
          <span className="combo__dot" style={{ background: entry.color }} />
          <span className="class__name">{entry.name}</span>
          {numHere > 0 && <span className="class__count num">{numHere}</span>}
          {entry.key && <Kbd>{entry.key.toUpperCase()}</Kbd>}
        </button>
      )}
      <MenuButton
        small
        label={`More actions for the class ${entry.name}`}
        icon={MoreHorizontal}
        items={[
          { label: "Rename", icon: Pencil, run: () => setRenaming(true) },
          { label: "Colour", icon: Palette, run: () => color.current?.showPicker() },
          { label: "Hot key", icon: Keyboard, run: () => setAsking("key") },
          {
            label: "Move up",
            icon: ArrowUp,
            disabled: place === 0,
            run: () => void actions.changeClass(entry.id, { position: place - 1 }),
          },
          {
            label: "Move down",
            icon: ArrowDown,
            disabled: place === classes.length - 1,
            run: () => void actions.changeClass(entry.id, { position: place + 1 }),
          },
          { label: "Merge into another class", icon: Merge, disabled: !others.length, run: () => setAsking("merge") },
          { label: "Delete", icon: Trash2, danger: true, run: () => setAsking("delete") },
        ]}
      />
      {asking === "key" && <KeyDialog entry={entry} classes={classes} onClose={() => setAsking(null)} />}
      {asking === "merge" && <MergeDialog entry={entry} others={others} onClose={() => setAsking(null)} />}
      {asking === "delete" && <DeleteDialog entry={entry} onClose={() => setAsking(null)} />}
    </li>
  );
}

function KeyDialog({
  entry,
  classes,
  onClose,
}: {
  entry: ObjectClass;
  classes: readonly ObjectClass[];
  onClose: () => void;
}) {
  const choose = (key: string) => {
    onClose();
    void actions.changeClass(entry.id, { key });
  };
  return (
    <Dialog title={`Hot key of “${entry.name}”`} onClose={onClose}>
      <div className="dialog__body">
        <p>The key gives the selected objects this class. Letters that do something else are not offered.</p>
        <div className="classes__keys">
          {[...FREE_KEYS].map((key) => {
            const owner = classes.find((other) => other.key === key);
            return (
              <Button
                key={key}
                variant={key === entry.key ? "primary" : "secondary"}
                tip={owner && owner.id !== entry.id ? `Now the key of “${owner.name}”` : undefined}
                onClick={() => choose(key)}
              >
                {key.toUpperCase()}
              </Button>
            );
          })}
          <Button onClick={() => choose("")}>No key</Button>
        </div>
      </div>
    </Dialog>
  );
}

function MergeDialog({
  entry,
  others,
  onClose,
}: {
  entry: ObjectClass;
  others: readonly ObjectClass[];
  onClose: () => void;
}) {
  const [into, setInto] = useState(others[0].id);
  return (
    <Dialog
      title={`Merge “${entry.name}” into another class`}
      onClose={onClose}
      foot={
        <Button
          variant="primary"
          onClick={() => {
            onClose();
            void actions.mergeClass(entry.id, into);
          }}
        >
          Merge
        </Button>
      }
    >
      <div className="dialog__body">
        <p>All objects of “{entry.name}” in this project get the other class. This cannot be undone.</p>
        <label className="field">
          <span className="field__label">Class they get</span>
          <select className="input" value={into} onChange={(event) => setInto(event.currentTarget.value)}>
            {others.map((other) => (
              <option key={other.id} value={other.id}>
                {other.name}
              </option>
            ))}
          </select>
        </label>
      </div>
    </Dialog>
  );
}

function DeleteDialog({ entry, onClose }: { entry: ObjectClass; onClose: () => void }) {
  return (
    <Dialog
      title={`Delete the class “${entry.name}”?`}
      onClose={onClose}
      foot={
        <Button
          variant="danger"
          onClick={() => {
            onClose();
            void actions.deleteClass(entry.id);
          }}
        >
          Delete the class
        </Button>
      }
    >
      <div className="dialog__body">
        <p>Its objects and their masks stay, in all files of this project, without a class. This cannot be undone.</p>
      </div>
    </Dialog>
  );
}
