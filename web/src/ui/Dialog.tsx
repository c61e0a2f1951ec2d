import { X } from "lucide-react";
import { type ReactNode, useEffect, useId, useRef } from "react";
import { IconButton } from "./controls";

/** A modal dialog. */
export function Dialog(props: {
  title: string;
  onClose: () => void;
  size?: "narrow" | "medium" | "wide";
  children: ReactNode;
  foot?: ReactNode;
  head?: ReactNode;
}) {
  const ref = useRef<HTMLDialogElement>(null);
  const title = useId();
  useEffect(() => {
    const dialog = ref.current;
    dialog?.showModal();
    // Focus the element that asks for it, else the dialog, so that the first button does not look selected.
    (dialog?.querySelector<HTMLElement>("[data-autofocus]") ?? dialog)?.focus();
    return () => dialog?.close();
  }, []);
  return (
    <dialog
      ref={ref}
      tabIndex={-1}
      className={`dialog dialog--${props.size ?? "narrow"}`}
      aria-labelledby={title}
      onCancel={(event) => {
        event.preventDefault();
        props.onClose();
      }}
      onClick={(event) => {
        if (event.target === ref.current) props.onClose();
      }}
      onKeyDown={(event) => event.stopPropagation()}
    >
      <header className="dialog__head">
        <h2 id={title} className="dialog__title">
          {props.title}
        </h2>
        {props.head}
        <IconButton label="Close" keys="Esc" icon={X} onClick={props.onClose} />
      </header>
      {props.children}
      {props.foot && <footer className="dialog__foot">{props.foot}</footer>}
    </dialog>
  );
}
