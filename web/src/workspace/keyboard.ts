/** The keyboard: keys of the table in `panels/shortcuts.ts`, keys that are held, and where the focus goes. */

import type { Point } from "../api/types";
import { type Focused, focusKind, mayBeShortcut } from "../lib/keys";
import { heldKeys } from "./canvas/heldKeys";
import * as actions from "./model/actions";
import { getState, useWorkspace } from "./model/store";
import { actionOf } from "./panels/shortcuts";

const DIRECTIONS: Readonly<Record<string, Point>> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
};

/** Keys while the arrow keys move a pointer. */
function onCursorKey(event: KeyboardEvent): boolean {
  const direction = DIRECTIONS[event.key];
  if (direction) actions.moveCursor(direction, event.shiftKey);
  else if (event.key === "Enter") actions.clickAtCursor(event.altKey ? 0 : 1);
  else if (event.key === "Backspace" || event.key === "Delete") actions.clickAtCursor(0);
  else if (event.key === "Escape" || event.key.toLowerCase() === "k") actions.hideCursor();
  else return false;
  return true;
}

/** Describe what an event's key is typed on: the focused element, or the page. */
function focusedOf(target: EventTarget | null): Focused {
  const element = target instanceof HTMLElement ? target : document.body;
  return {
    tag: element.tagName,
    type: element instanceof HTMLInputElement ? element.type : undefined,
    role: element.getAttribute("role"),
    isEditable: element.isContentEditable,
  };
}

const canvas = (): HTMLElement | null => document.querySelector<HTMLElement>(".canvas");

/** Give the focus to the picture, where keys are shortcuts. */
function focusPicture(): void {
  const picture = canvas();
  if (!picture) return;
  picture.dataset.pointed = ""; // no focus ring
  picture.focus({ preventScroll: true });
}

/** Gives the focus back to the picture once what a click does is done; null when that is not due. */
let dueReturn: (() => void) | null = null;

function returnFocusSoon(giveBack: () => void): void {
  dueReturn = giveBack;
  setTimeout(returnFocusNow);
}

function returnFocusNow(): void {
  const giveBack = dueReturn;
  dueReturn = null;
  giveBack?.();
}

/** Handle a key that comes before the focus is back: it is meant for the picture, not for the button that was clicked. */
function onEarlyDown(event: KeyboardEvent): void {
  if (!dueReturn) return;
  returnFocusNow();
  if (document.activeElement === event.target || document.activeElement !== canvas()) return;
  event.stopPropagation();
  onDown(event, canvas());
}

function onDown(event: KeyboardEvent, target: EventTarget | null = event.target): void {
  const { dialog, medium, cursor, job } = getState();
  if (event.defaultPrevented || dialog || !medium) return;
  const focused = focusedOf(target);
  const press = {
    key: event.key,
    code: event.code,
    ctrlKey: event.ctrlKey,
    metaKey: event.metaKey,
    altKey: event.altKey,
    shiftKey: event.shiftKey,
    isComposing: event.isComposing,
    isAltGraph: event.getModifierState("AltGraph"),
  };
  if (!mayBeShortcut(press, focused)) return;
  const hasControl = (event.ctrlKey || event.metaKey) && !press.isAltGraph;
  const isLeaving = event.key === "Escape" && focusKind(focused) !== "page";
  if (isLeaving) focusPicture();
  if (event.key === " ") holdSpace(event);
  else if (event.key === "\\") {
    if (!event.repeat) actions.setMasksVisible(false);
  } else if (!(isLeaving && !job) && !(cursor && !hasControl && onCursorKey(event))) {
    const action = actionOf(press);
    if (!action) return;
    void action();
  }
  event.preventDefault();
}

function holdSpace(event: KeyboardEvent): void {
  if (event.repeat) return;
  heldKeys.space = true;
  heldKeys.panned = false;
}

function onUp(event: KeyboardEvent): void {
  if (event.key === "\\") actions.setMasksVisible(true);
  if (event.key !== " " || !heldKeys.space) return;
  heldKeys.space = false;
  if (!heldKeys.panned && !getState().dialog) actions.togglePlay();
}

/**
 * After the mouse has pressed a button, the picture has the focus again.
 *
 * So shortcuts go on working, and Enter does not press the button once more. Fields keep the focus, and so does a
 * button that was reached with the keyboard.
 */
function onClick(event: MouseEvent): void {
  if (event.detail === 0) return; // pressed with the keyboard
  returnFocusSoon(() => {
    const active = document.activeElement;
    if (!(active instanceof HTMLElement) || active.closest("dialog, [popover]") || !active.closest(".workspace"))
      return;
    const isPicker = active instanceof HTMLInputElement && active.type === "color";
    if (!isPicker && ["control", "slider"].includes(focusKind(focusedOf(active)))) focusPicture();
  });
}

/** Listen to the keyboard; returns the function that ends it. */
export function listenToKeys(): () => void {
  const stop = new AbortController();
  const options = { signal: stop.signal };
  const onBlur = () => {
    heldKeys.space = false;
  };
  window.addEventListener("keydown", onEarlyDown, { ...options, capture: true });
  window.addEventListener("keydown", (event) => onDown(event), options);
  window.addEventListener("keyup", onUp, options);
  window.addEventListener("blur", onBlur, options);
  window.addEventListener("click", onClick, { ...options, capture: true });
  // A dialog that closes gives the focus back to the button that opened it.
  const stopDialogs = useWorkspace.subscribe((state, before) => {
    if (before.dialog && !state.dialog) returnFocusSoon(focusPicture);
  });
  return () => {
    stop.abort();
    stopDialogs();
  };
}
