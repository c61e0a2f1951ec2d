/** Buttons, keys, switches. */

import type { LucideIcon } from "lucide-react";
import type { ButtonHTMLAttributes, ReactNode, Ref } from "react";

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

interface Option<T extends string> {
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
