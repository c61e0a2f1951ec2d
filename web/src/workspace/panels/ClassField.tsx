import { useState } from "react";
import { ComboField } from "../../ui/kit";
import { classColor, useWorkspace } from "../model/store";

/** The class of an object or of several: a click opens the project's list, in which a name can be typed. */
export function ClassField(props: {
  value: string;
  label: string;
  placeholder: string;
  editing?: boolean;
  onDone?: () => void;
  onChange: (name: string) => void;
}) {
  const [editing, setEditing] = useState(false);
  const classes = useWorkspace((state) => state.project?.classes);
  const color = useWorkspace((state) => classColor(state, props.value));
  const done = () => {
    setEditing(false);
    props.onDone?.();
  };
  if (editing || props.editing) {
    return (
      <ComboField
        className="object__class"
        label={props.label}
        value={props.value}
        choices={classes ?? []}
        placeholder="class"
        onChoose={props.onChange}
        onDone={done}
      />
    );
  }
  return (
    <button
      type="button"
      className={`inline-text object__class ${props.value ? "" : "inline-text--empty"}`}
      aria-label={`${props.label}: ${props.value || props.placeholder}`}
      onClick={(event) => {
        if (event.ctrlKey || event.metaKey || event.shiftKey) return;
        setEditing(true);
      }}
    >
      {color && <span className="combo__dot" style={{ background: color }} />}
      {props.value || props.placeholder}
    </button>
  );
}
