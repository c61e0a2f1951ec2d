/** The small parts that everything is made of. */

import { CircleAlert, CircleCheck, type LucideIcon, X } from "lucide-react";
import {
  type ButtonHTMLAttributes,
  type ReactNode,
  type Ref,
  useEffect,
  useId,
  useLayoutEffect,
  useRef,
  useState,
} from "react";
import { dismissToast, useApp } from "../state/app";

type ButtonProps = ButtonHTMLAttributes<HTMLButtonElement> & {
  variant?: "primary" | "secondary" | "ghost" | "danger";
  icon?: LucideIcon;
  large?: boolean;
  wide?: boolean;
  tip?: string;
  keys?: string;
};

export function Button({ variant = "secondary", icon: Icon, large, wide, tip, keys, children, ...rest }: ButtonProps) {
  const classes = ["button", `button--${variant}`, large && "button--large", wide && "button--wide", rest.className];
  return (
    <button type="button" {...rest} data-tip={tip} data-keys={keys} className={classes.filter(Boolean).join(" ")}>
      {Icon && <Icon size={15} aria-hidden />}
      {children}
    </button>
  );
}

type IconButtonProps = Omit<ButtonHTMLAttributes<HTMLButtonElement>, "children"> & {
  label: string;
  icon: LucideIcon;
  keys?: string;
  small?: boolean;
  danger?: boolean;
  pressed?: boolean;
  buttonRef?: Ref<HTMLButtonElement>;
};

/** A button that is only a picture: its label is its tooltip and its name for screen readers. */
export function IconButton({ label, icon: Icon, keys, small, danger, pressed, buttonRef, ...rest }: IconButtonProps) {
  const classes = ["icon-button", small && "icon-button--small", danger && "icon-button--danger", rest.className];
  return (
    <button
      type="button"
      {...rest}
      ref={buttonRef}
      aria-label={label}
      aria-pressed={pressed}
      data-tip={label}
      data-keys={keys}
      className={classes.filter(Boolean).join(" ")}
    >
      <Icon size={small ? 14 : 16} aria-hidden />
    </button>
  );
}

export const Kbd = ({ children }: { children: ReactNode }) => <kbd className="kbd">{children}</kbd>;

export function Keys({ keys }: { keys: string }) {
  return (
    <span className="keys">
      {keys.split(" ").map((key) => (
        <Kbd key={key}>{key}</Kbd>
      ))}
    </span>
  );
}

export interface Option<T extends string> {
  readonly value: T;
  readonly label: string;
  readonly icon?: LucideIcon;
}

export function Segmented<T extends string>(props: {
  label: string;
  value: T;
  options: readonly Option<T>[];
  onChange: (value: T) => void;
}) {
  const move = (by: number) => {
    const at = props.options.findIndex((option) => option.value === props.value);
    props.onChange(props.options[(at + by + props.options.length) % props.options.length].value);
  };
  return (
    <div className="segmented" role="radiogroup" aria-label={props.label}>
      {props.options.map(({ value, label, icon: Icon }) => (
        // biome-ignore lint/a11y/useSemanticElements: a group of buttons that behaves as radios, as WAI-ARIA describes
        <button
          key={value}
          type="button"
          role="radio"
          className="segmented__option"
          aria-checked={value === props.value}
          tabIndex={value === props.value ? 0 : -1}
          onClick={() => props.onChange(value)}
          onKeyDown={(event) => {
            if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
            event.preventDefault();
            event.stopPropagation();
            move(event.key === "ArrowRight" ? 1 : -1);
            const group = event.currentTarget.parentElement;
            requestAnimationFrame(() => group?.querySelector<HTMLElement>("[aria-checked=true]")?.focus());
          }}
        >
          {Icon && <Icon size={13} aria-hidden />}
          {label}
        </button>
      ))}
    </div>
  );
}

export function Switch(props: { label: string; checked: boolean; onChange: (checked: boolean) => void; id?: string }) {
  return (
    <button
      type="button"
      role="switch"
      id={props.id}
      className="switch"
      aria-label={props.label}
      aria-checked={props.checked}
      onClick={() => props.onChange(!props.checked)}
    />
  );
}

export function Progress({ value, label }: { value: number | null; label: string }) {
  return (
    <div
      className={value === null ? "progress progress--unknown" : "progress"}
      role="progressbar"
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={value === null ? undefined : Math.round(value * 100)}
    >
      <div className="progress__bar" style={value === null ? undefined : { width: `${value * 100}%` }} />
    </div>
  );
}

export const Spinner = ({ label = "Loading" }: { label?: string }) => (
  <span className="spinner" role="status" aria-label={label} />
);

export function Empty(props: { icon: LucideIcon; title: string; children: ReactNode; action?: ReactNode }) {
  return (
    <div className="empty">
      <props.icon size={28} strokeWidth={1.5} aria-hidden color="var(--faint)" />
      <h2 className="empty__title">{props.title}</h2>
      <div className="empty__text">{props.children}</div>
      {props.action}
    </div>
  );
}

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
    // Whoever asks for the focus gets it; else nobody, so that the first button does not look chosen.
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

export interface MenuItem {
  readonly label: string;
  readonly icon: LucideIcon;
  readonly run: () => void;
  readonly keys?: string;
  readonly danger?: boolean;
  readonly disabled?: boolean;
}

/** A button that opens a list of things to do. */
export function MenuButton({
  label,
  icon,
  items,
  small,
}: {
  label: string;
  icon: LucideIcon;
  items: MenuItem[];
  small?: boolean;
}) {
  const [open, setOpen] = useState(false);
  const button = useRef<HTMLButtonElement>(null);
  const menu = useRef<HTMLDivElement>(null);

  useLayoutEffect(() => {
    const [anchor, list] = [button.current, menu.current];
    if (!open || !anchor || !list) return;
    list.showPopover();
    const at = anchor.getBoundingClientRect();
    const size = list.getBoundingClientRect();
    list.style.left = `${Math.max(8, Math.min(at.left, innerWidth - size.width - 8))}px`;
    list.style.top = `${at.bottom + size.height + 12 > innerHeight ? at.top - size.height - 4 : at.bottom + 4}px`;
    list.querySelector<HTMLElement>("button:not(:disabled)")?.focus();
  }, [open]);

  const close = () => {
    setOpen(false);
    button.current?.focus();
  };
  return (
    <>
      <IconButton
        label={label}
        icon={icon}
        small={small}
        buttonRef={button}
        aria-haspopup="menu"
        aria-expanded={open}
        onClick={(event) => {
          event.stopPropagation();
          setOpen(!open);
        }}
      />
      {open && (
        <div
          ref={menu}
          className="menu"
          role="menu"
          tabIndex={-1}
          popover="auto"
          onToggle={(event) => {
            if (event.newState === "closed") setOpen(false);
          }}
          onKeyDown={(event) => {
            event.stopPropagation();
            if (event.key === "Escape") close();
            const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
            if (!step) return;
            event.preventDefault();
            const all = [...event.currentTarget.querySelectorAll<HTMLElement>("button:not(:disabled)")];
            const at = all.indexOf(document.activeElement as HTMLElement);
            all[(at + step + all.length) % all.length]?.focus();
          }}
        >
          {items.map((item) => (
            <button
              key={item.label}
              type="button"
              role="menuitem"
              disabled={item.disabled}
              className={item.danger ? "menu__item menu__item--danger" : "menu__item"}
              onClick={(event) => {
                event.stopPropagation();
                close();
                item.run();
              }}
            >
              <item.icon size={15} aria-hidden />
              {item.label}
              {item.keys && <span className="menu__keys">{item.keys}</span>}
            </button>
          ))}
        </div>
      )}
    </>
  );
}

/** Text that becomes a field on double click or Enter. */
export function InlineText(props: {
  value: string;
  label: string;
  placeholder?: string;
  list?: string;
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
        onDoubleClick={() => setEditing(true)}
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
      list={props.list}
      // biome-ignore lint/a11y/noAutofocus: the person just asked to edit this
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

/** One tooltip for the whole page: it shows `data-tip` and `data-keys` of what is hovered or focused. */
export function TooltipLayer() {
  const [tip, setTip] = useState<{ text: string; keys: string | null; at: DOMRect } | null>(null);
  const bubble = useRef<HTMLDivElement>(null);

  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const hide = () => {
      clearTimeout(timer);
      setTip(null);
    };
    const show = (event: Event, delay: number) => {
      const target = event.target instanceof Element ? event.target.closest<HTMLElement>("[data-tip]") : null;
      clearTimeout(timer);
      if (!target?.dataset.tip) return setTip(null);
      const { tip: text, keys } = target.dataset;
      timer = setTimeout(() => {
        if (target.isConnected) setTip({ text: text ?? "", keys: keys ?? null, at: target.getBoundingClientRect() });
      }, delay);
    };
    const onOver = (event: PointerEvent) => {
      if (event.pointerType === "mouse") show(event, 450);
    };
    const onFocus = (event: FocusEvent) => {
      if (event.target instanceof Element && event.target.matches(":focus-visible")) show(event, 450);
    };
    document.addEventListener("pointerover", onOver);
    document.addEventListener("focusin", onFocus);
    document.addEventListener("focusout", hide);
    document.addEventListener("pointerdown", hide, true);
    document.addEventListener("keydown", hide, true);
    return () => {
      clearTimeout(timer);
      document.removeEventListener("pointerover", onOver);
      document.removeEventListener("focusin", onFocus);
      document.removeEventListener("focusout", hide);
      document.removeEventListener("pointerdown", hide, true);
      document.removeEventListener("keydown", hide, true);
    };
  }, []);

  useLayoutEffect(() => {
    const shown = bubble.current;
    if (!tip || !shown) return;
    shown.showPopover(); // the top layer: above dialogs too
    const size = shown.getBoundingClientRect();
    const left = tip.at.left + tip.at.width / 2 - size.width / 2;
    const below = tip.at.bottom + 6;
    shown.style.left = `${Math.max(6, Math.min(left, innerWidth - size.width - 6))}px`;
    shown.style.top = `${below + size.height > innerHeight - 4 ? tip.at.top - size.height - 6 : below}px`;
  }, [tip]);

  if (!tip) return null;
  return (
    <div ref={bubble} className="tooltip" role="tooltip" popover="manual">
      {tip.text}
      {tip.keys?.split(" ").map((key) => (
        <Kbd key={key}>{key}</Kbd>
      ))}
    </div>
  );
}

export function Toasts() {
  const toasts = useApp((state) => state.toasts);
  return (
    <div className="toasts" aria-live="polite">
      {toasts.map((shown) => {
        const Icon = shown.kind === "error" ? CircleAlert : CircleCheck;
        return (
          <div
            key={shown.id}
            className={`toast toast--${shown.kind}`}
            role={shown.kind === "error" ? "alert" : "status"}
          >
            <Icon className="toast__icon" size={16} aria-hidden />
            <span className="toast__text">{shown.text}</span>
            {shown.action && (
              <Button
                variant="ghost"
                onClick={() => {
                  dismissToast(shown.id);
                  shown.action?.run();
                }}
              >
                {shown.action.label}
              </Button>
            )}
            <IconButton small label="Dismiss" icon={X} onClick={() => dismissToast(shown.id)} />
          </div>
        );
      })}
    </div>
  );
}
