import type { LucideIcon } from "lucide-react";
import { useLayoutEffect, useRef, useState } from "react";
import { IconButton } from "./controls";

interface MenuItem {
  readonly label: string;
  readonly icon: LucideIcon;
  readonly run: () => void;
  readonly keys?: string;
  readonly danger?: boolean;
  readonly disabled?: boolean;
}

/** A button that opens a menu. */
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
