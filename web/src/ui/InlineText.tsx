import { useState } from "react";

/** Text that becomes a field when it is clicked; a click with Ctrl or Shift is for the list around it. */
export function InlineText(props: {
  value: string;
  label: string;
  placeholder?: string;
  disabled?: boolean;
  className?: string;
  editing?: boolean;
  onDone?: () => void;
  onChange: (value: string) => void;
}) {
  const [editing, setEditing] = useState(false);
  const isEditing = editing || props.editing === true;
  const finish = (value: string | null) => {
    setEditing(false);
    props.onDone?.();
    const text = value?.trim() ?? "";
    if (value !== null && text !== props.value && (text || props.placeholder)) props.onChange(text);
  };
  if (!isEditing || props.disabled) {
    return (
      <button
        type="button"
        className={`inline-text ${props.className ?? ""} ${props.value ? "" : "inline-text--empty"}`}
        aria-label={`${props.label}: ${props.value || (props.placeholder ?? "")}. Enter edits`}
        disabled={props.disabled}
        onClick={(event) => {
          if (!event.ctrlKey && !event.metaKey && !event.shiftKey) setEditing(true);
        }}
        onKeyDown={(event) => {
          if (event.key !== "Enter" && event.key !== "F2") return;
          event.preventDefault();
          event.stopPropagation();
          setEditing(true);
        }}
      >
        {props.value || props.placeholder}
      </button>
    );
  }
  return (
    <input
      className={`inline-text inline-text--editing ${props.className ?? ""}`}
      aria-label={props.label}
      defaultValue={props.value}
      placeholder={props.placeholder}
      // biome-ignore lint/a11y/noAutofocus: the user just asked to edit this
      autoFocus
      onFocus={(event) => event.currentTarget.select()}
      onClick={(event) => event.stopPropagation()}
      onBlur={(event) => finish(event.currentTarget.value)}
      onKeyDown={(event) => {
        event.stopPropagation();
        if (event.key === "Enter") event.currentTarget.blur();
        if (event.key === "Escape") finish(null);
      }}
    />
  );
}
