import { useEffect, useLayoutEffect, useRef, useState } from "react";
import { Kbd } from "./controls";

/** The page's one tooltip: shows `data-tip` and `data-keys` of the element that is hovered or focused. */
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
