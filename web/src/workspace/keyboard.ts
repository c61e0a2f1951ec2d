/** The keyboard: which key calls which action. `panels/shortcuts.ts` lists the keys for the help. */

import type { Point } from "../api/types";
import { heldKeys } from "./canvas/heldKeys";
import * as actions from "./model/actions";
import { getState, isVideo, type Tool } from "./model/store";

const TOOLS: Readonly<Record<string, Tool>> = { c: "click", r: "box", b: "brush", e: "eraser", l: "lasso", h: "hand" };

function onControlKey(event: KeyboardEvent): boolean {
  const key = event.key.toLowerCase();
  if (key === "z") void (event.shiftKey ? actions.redo() : actions.undo());
  else if (key === "y") void actions.redo();
  else if (key === "e") actions.openDialog("export");
  else if (key === "arrowleft") actions.openSibling(-1);
  else if (key === "arrowright") actions.openSibling(1);
  else return false;
  return true;
}

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

function onShiftKey(event: KeyboardEvent): boolean {
  const { job } = getState();
  const key = event.key.length === 1 ? event.key.toUpperCase() : event.key; // caps lock turns letters over
  if (event.key === "ArrowLeft") actions.step(-10);
  else if (event.key === "ArrowRight") actions.step(10);
  else if (key === "P") actions.seekPrompted(-1);
  else if (key === "T" && !job) void actions.track("both", "changed");
  else if (key === "A") actions.acceptRange();
  else if (key === "L") actions.toggleLooping();
  else if (key === "X") actions.setRange(null);
  else if (event.code === "Digit1") actions.zoomToPixels();
  else if (key === "?") actions.openDialog("help");
  else if (key === "+") actions.zoomBy(1.25);
  else if (event.key === "Backspace" || event.key === "Delete") actions.deleteSelectedObject();
  else return false;
  return true;
}

function onPlainKey(event: KeyboardEvent): boolean {
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (/^[1-9]$/.test(key)) actions.selectAt(Number(key) - 1);
  else if (TOOLS[key]) actions.setTool(TOOLS[key]);
  else if (key === "n") actions.draftObject();
  else if (key === "x") actions.toggleClickAdds();
  else if (key === "g") actions.cycleCandidate();
  else if (key === "[") actions.stepBrushSize(-1);
  else if (key === "]") actions.stepBrushSize(1);
  else if (key === "m") actions.toggleMasks();
  else if (key === "y") actions.toggleCompare();
  else if (key === "\\") {
    if (!event.repeat) actions.setMasksVisible(false);
  } else if (key === "0") actions.fitView();
  else if (key === "+" || key === "=") actions.zoomBy(1.25);
  else if (key === "-") actions.zoomBy(1 / 1.25);
  else if (key === "k") actions.showCursor();
  else if (key === "?") actions.openDialog("help");
  else if (key === "a") actions.toggleAccepted();
  else if (key === "F2") actions.startRenaming();
  else if (key === "Backspace" || key === "Delete") actions.clearPrompt();
  else if (key === "Escape") onEscape();
  else return isVideo(getState()) && onVideoKey(key);
  return true;
}

/** Stop the job, else dismiss the candidates, else deselect. */
function onEscape(): void {
  const { job, candidates } = getState();
  if (job) actions.cancelJob();
  else if (candidates) actions.dismissCandidates();
  else actions.select(null);
}

function onVideoKey(key: string): boolean {
  if (key === "ArrowLeft") actions.step(-1);
  else if (key === "ArrowRight") actions.step(1);
  else if (key === "Home") actions.seekFirst();
  else if (key === "End") actions.seekLast();
  else if (key === "p") actions.seekPrompted(1);
  else if (key === "i") actions.setInPoint();
  else if (key === "o") actions.setOutPoint();
  else if (key === "t") void actions.trackUntracked();
  else if (key === "f") void actions.seekNextToReview();
  else return false;
  return true;
}

const isTyping = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement &&
  (target.matches("input:not([type=range]), select, textarea") || target.isContentEditable);

/** Return whether Space and Enter press the focused button; only elsewhere does Space play. */
const isPressable = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement && target.matches("button, a, [role=radio]") && target.matches(":focus-visible");

function onDown(event: KeyboardEvent): void {
  if (event.defaultPrevented || isTyping(event.target) || getState().dialog || !getState().medium) return;
  if (event.key === " ") {
    if (isPressable(event.target)) return;
    event.preventDefault();
    if (!event.repeat) {
      heldKeys.space = true;
      heldKeys.panned = false;
    }
    return;
  }
  if (event.key === "Enter" && isPressable(event.target)) return;
  const { cursor } = getState();
  const isHandled =
    event.ctrlKey || event.metaKey
      ? onControlKey(event)
      : (cursor && onCursorKey(event)) || (event.shiftKey ? onShiftKey(event) : !event.altKey && onPlainKey(event));
  if (isHandled) event.preventDefault();
}

function onUp(event: KeyboardEvent): void {
  if (event.key === "\\") actions.setMasksVisible(true);
  if (event.key !== " " || !heldKeys.space) return;
  heldKeys.space = false;
  if (!heldKeys.panned && !getState().dialog && !isTyping(event.target)) actions.togglePlay();
}

/** Listen to the keyboard; returns the function that ends it. */
export function listenToKeys(): () => void {
  const onBlur = () => {
    heldKeys.space = false;
  };
  window.addEventListener("keydown", onDown);
  window.addEventListener("keyup", onUp);
  window.addEventListener("blur", onBlur);
  return () => {
    window.removeEventListener("keydown", onDown);
    window.removeEventListener("keyup", onUp);
    window.removeEventListener("blur", onBlur);
  };
}
