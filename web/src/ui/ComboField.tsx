import { useId, useLayoutEffect, useRef, useState } from "react";
import { Kbd } from "./controls";

interface Choice {
  readonly name: string;
  readonly color: string;
  readonly key: string | null;
}

/** A field for a name of a list: typing narrows the list, a name that is not in it can be added. */
export function ComboField(props: {
  label: string;
  value: string;
  choices: readonly Choice[];
  placeholder: string;
  className?: string;
  onChoose: (name: string) => void;
  onDone: () => void;
}) {
  const [typed, setTyped] = useState<string | null>(null);
  const [active, setActive] = useState(-1);
  const field = useRef<HTMLInputElement>(null);
  const list = useRef<HTMLDivElement>(null);
  const id = useId();
  const text = (typed ?? props.value).trim();
  const folded = text.toLowerCase();
  const shown = typed === null ? props.choices : props.choices.filter((one) => one.name.toLowerCase().includes(folded));
  const exact = props.choices.find((one) => one.name.toLowerCase() === folded);

  // biome-ignore lint/correctness/useExhaustiveDependencies: the list moves when its length changes
  useLayoutEffect(() => {
    const [anchor, popup] = [field.current, list.current];
    if (!anchor || !popup) return;
    if (!popup.matches(":popover-open")) popup.showPopover();
    const at = anchor.getBoundingClientRect();
    const size = popup.getBoundingClientRect();
    popup.style.left = `${Math.max(8, Math.min(at.left, innerWidth - size.width - 8))}px`;
    popup.style.top = `${at.bottom + size.height + 8 > innerHeight ? at.top - size.height - 4 : at.bottom + 4}px`;
  }, [shown.length, typed]);

  const finish = (name: string | null) => {
    props.onDone();
    if (name !== null && name !== props.value) props.onChoose(name);
  };
  // The name that Enter takes: the marked one, the one that was typed in other letters, or a new one.
  const result = () => shown[active]?.name ?? exact?.name ?? text;
  return (
    <>
      <input
        ref={field}
        className={`inline-text inline-text--editing ${props.className ?? ""}`}
        role="combobox"
        aria-label={props.label}
        aria-expanded
        aria-controls={id}
        aria-activedescendant={shown[active] ? `${id}-${active}` : undefined}
        autoComplete="off"
        value={typed ?? props.value}
        placeholder={props.placeholder}
        // biome-ignore lint/a11y/noAutofocus: the user just asked to edit this
        autoFocus
        onFocus={(event) => event.currentTarget.select()}
        onClick={(event) => event.stopPropagation()}
        onChange={(event) => {
          setTyped(event.currentTarget.value);
          setActive(-1);
        }}
        onBlur={() => finish(typed === null ? null : (exact?.name ?? text))}
        onKeyDown={(event) => {
          event.stopPropagation();
          const by = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
          if (by && shown.length) {
            event.preventDefault();
            setActive((active + by + shown.length) % shown.length);
          } else if (event.key === "Enter") finish(result());
          else if (event.key === "Escape") finish(null);
        }}
      />
      <div ref={list} id={id} className="menu combo" role="listbox" popover="manual" aria-label={props.label}>
        {shown.map((choice, i) => (
          <div
            key={choice.name}
            id={`${id}-${i}`}
            role="option"
            tabIndex={-1}
            aria-selected={i === active}
            className="menu__item combo__item"
            // The field must not lose the focus before the choice is made.
            onPointerDown={(event) => {
              event.preventDefault();
              finish(choice.name);
            }}
          >
            <span className="combo__dot" style={{ background: choice.color }} />
            {choice.name}
            {choice.key && <Kbd>{choice.key.toUpperCase()}</Kbd>}
          </div>
        ))}
        {text && !exact && typed !== null && <div className="combo__hint">Enter adds “{text}” to the list</div>}
        {!text && typed !== null && <div className="combo__hint">Enter removes the class</div>}
        {!shown.length && !text && <div className="combo__hint">Type the name of a class</div>}
      </div>
    </>
  );
}
