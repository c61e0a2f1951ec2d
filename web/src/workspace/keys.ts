/** The keyboard. `SHORTCUTS` is what the help overlay shows, `onKey` is what happens. */

import type { Point } from "../api/types";
import { go } from "../state/route";
import * as actions from "./actions";
import { getStage, zoomBy } from "./Canvas";
import { hoverAt, setHovering } from "./embedding";
import { held } from "./held";
import { getState, isVideo, setState, type Tool } from "./store";

export interface Shortcut {
  /** Keys pressed together are joined by spaces; ways that do the same by commas. */
  readonly keys: string;
  readonly what: string;
}

export const SHORTCUTS: readonly { readonly title: string; readonly items: readonly Shortcut[] }[] = [
  {
    title: "Mark",
    items: [
      { keys: "C", what: "Click: left adds, right or Alt takes away, drag is a box" },
      { keys: "R", what: "Box" },
      { keys: "B", what: "Brush" },
      { keys: "E", what: "Eraser" },
      { keys: "L", what: "Lasso; Alt takes away" },
      { keys: "[, ]", what: "Brush smaller, larger" },
      { keys: "X", what: "Swap what a click does: add, take away" },
      { keys: "G", what: "Next candidate" },
      { keys: "K", what: "Pointer moved by arrow keys; Enter adds, Backspace takes away" },
    ],
  },
  {
    title: "Objects",
    items: [
      { keys: "N", what: "New object" },
      { keys: "1…9", what: "Select" },
      { keys: "F2", what: "Rename" },
      { keys: "⌫", what: "Clear what was said on this frame" },
      { keys: "⇧ ⌫", what: "Delete the object" },
      { keys: "Esc", what: "Deselect; stop tracking" },
    ],
  },
  {
    title: "Time",
    items: [
      { keys: "Space", what: "Play, pause" },
      { keys: "←, →", what: "One frame" },
      { keys: "⇧ ←, ⇧ →", what: "Ten frames" },
      { keys: "Home, End", what: "First, last frame" },
      { keys: "P, ⇧ P", what: "Previous, next marked frame" },
      { keys: "I, O", what: "Range starts, ends here" },
      { keys: "⇧ X", what: "Clear the range" },
      { keys: "⇧ L", what: "Loop" },
    ],
  },
  {
    title: "Track and review",
    items: [
      { keys: "T", what: "Track both ways what has not been tracked, or else all again" },
      { keys: "⇧ T", what: "Update what your corrections change" },
      { keys: "F", what: "Next frame to check" },
      { keys: "A", what: "Accept this frame" },
      { keys: "⇧ A", what: "Accept the range, or all" },
    ],
  },
  {
    title: "See",
    items: [
      { keys: "Wheel", what: "Zoom at the pointer" },
      { keys: "Space", what: "Hold and drag: move the picture (middle button too)" },
      { keys: "0", what: "Fit" },
      { keys: "⇧ 1", what: "One to one" },
      { keys: "+, -", what: "Zoom" },
      { keys: "H", what: "Hand" },
      { keys: "\\", what: "Hold: without masks" },
      { keys: "M", what: "Masks on, off" },
      { keys: "Y", what: "Compare: before and now" },
    ],
  },
  {
    title: "Everywhere",
    items: [
      { keys: "Ctrl Z", what: "Undo" },
      { keys: "Ctrl ⇧ Z", what: "Redo" },
      { keys: "Ctrl E", what: "Export" },
      { keys: "Ctrl ←, Ctrl →", what: "Previous, next file" },
      { keys: "?", what: "This help" },
    ],
  },
];

const TOOLS: Readonly<Record<string, Tool>> = { c: "click", r: "box", b: "brush", e: "eraser", l: "lasso", h: "hand" };

function nextFile(by: number): void {
  const { siblings, medium } = getState();
  const to = siblings[siblings.findIndex((one) => one.id === medium?.id) + by];
  if (to) go({ screen: "workspace", pid: to.project_id, mid: to.id, frame: 0 });
}

function withControl(event: KeyboardEvent): boolean {
  const key = event.key.toLowerCase();
  if (key === "z") void (event.shiftKey ? actions.redo() : actions.undo());
  else if (key === "y") void actions.redo();
  else if (key === "e") setState({ dialog: "export" });
  else if (key === "arrowleft") nextFile(-1);
  else if (key === "arrowright") nextFile(1);
  else return false;
  return true;
}

/** The pointer that the arrow keys move. */
function onCursorKey(event: KeyboardEvent, cursor: Point): boolean {
  const { medium } = getState();
  if (!medium) return false;
  const directions: Readonly<Record<string, Point>> = {
    ArrowLeft: [-1, 0],
    ArrowRight: [1, 0],
    ArrowUp: [0, -1],
    ArrowDown: [0, 1],
  };
  const direction = directions[event.key];
  if (direction) {
    const reach = Math.max(medium.width, medium.height) / (event.shiftKey ? 12 : 60);
    const clamp = (value: number, high: number) => Math.min(Math.max(value, 0), high - 1);
    const next: Point = [
      clamp(cursor[0] + direction[0] * reach, medium.width),
      clamp(cursor[1] + direction[1] * reach, medium.height),
    ];
    setState({ cursor: next });
    setHovering(true);
    hoverAt(next, 1);
  } else if (event.key === "Enter") actions.addPoint(cursor, event.altKey ? 0 : 1);
  else if (event.key === "Backspace" || event.key === "Delete") actions.addPoint(cursor, 0);
  else if (event.key === "Escape" || event.key.toLowerCase() === "k") {
    setState({ cursor: null });
    setHovering(false);
  } else return false;
  return true;
}

function withShift(event: KeyboardEvent): boolean {
  const { job } = getState();
  const key = event.key.length === 1 ? event.key.toUpperCase() : event.key; // caps lock turns letters over
  if (event.key === "ArrowLeft") actions.step(-10);
  else if (event.key === "ArrowRight") actions.step(10);
  else if (key === "P") actions.seekPrompted(1);
  else if (key === "T" && !job) void actions.track("both", "changed");
  else if (key === "A") actions.acceptRange();
  else if (key === "L") setState((state) => ({ looping: !state.looping }));
  else if (key === "X") actions.setRange(null);
  else if (event.code === "Digit1") zoomBy(1 / devicePixelRatio / (getStage()?.view.scale ?? 1));
  else if (key === "?") setState({ dialog: "help" });
  else if (key === "+") zoomBy(1.25);
  else if (event.key === "Backspace" || event.key === "Delete") {
    const { selected } = getState();
    if (selected !== null) actions.deleteObject(selected);
  } else return false;
  return true;
}

function plain(event: KeyboardEvent): boolean {
  const state = getState();
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (/^[1-9]$/.test(key)) {
    const object = state.objects[Number(key) - 1];
    if (object) actions.select(object.id);
  } else if (TOOLS[key]) actions.setTool(TOOLS[key]);
  else if (key === "n") actions.draftObject();
  else if (key === "x") setState({ clickAdds: !state.clickAdds });
  else if (key === "g") actions.cycleCandidate();
  else if (key === "[") actions.setBrushSize(Math.min(state.brushSize - 1, state.brushSize / 1.2));
  else if (key === "]") actions.setBrushSize(Math.max(state.brushSize + 1, state.brushSize * 1.2));
  else if (key === "m") setState({ masksVisible: !state.masksVisible });
  else if (key === "y") actions.toggleCompare();
  else if (key === "\\") {
    if (!event.repeat) setState({ masksVisible: false });
  } else if (key === "0") setState({ view: null });
  else if (key === "+" || key === "=") zoomBy(1.25);
  else if (key === "-") zoomBy(1 / 1.25);
  else if (key === "k" && state.medium) {
    setState({ cursor: [state.medium.width / 2, state.medium.height / 2], tool: "click" });
  } else if (key === "?") setState({ dialog: "help" });
  else if (key === "F2") setState({ renaming: state.selected });
  else if (key === "Backspace" || key === "Delete") actions.clearPrompt();
  else if (key === "Escape") letGo();
  else return isVideo(state) && inTime(key);
  return true;
}

function letGo(): void {
  const { job, candidates } = getState();
  if (job) actions.cancelJob();
  else if (candidates) setState({ candidates: null });
  else actions.select(null);
}

function inTime(key: string): boolean {
  if (key === "ArrowLeft") actions.step(-1);
  else if (key === "ArrowRight") actions.step(1);
  else if (key === "Home") actions.seek(0);
  else if (key === "End") actions.seek(Number.MAX_SAFE_INTEGER);
  else if (key === "p") actions.seekPrompted(-1);
  else if (key === "i") actions.setInPoint();
  else if (key === "o") actions.setOutPoint();
  else if (key === "t") void actions.track("both", actions.missingFrames() > 0 ? "missing" : "all");
  else if (key === "f") void actions.seekNextToCheck();
  else if (key === "a") actions.toggleAccepted();
  else return false;
  return true;
}

const isTyping = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement &&
  (target.matches("input:not([type=range]), select, textarea") || target.isContentEditable);

/** Space presses a button that has the focus; only elsewhere it plays. */
const isPressable = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement && target.matches("button, a, [role=radio]") && target.matches(":focus-visible");

function onDown(event: KeyboardEvent): void {
  if (event.defaultPrevented || isTyping(event.target) || getState().dialog || !getState().medium) return;
  if (event.key === " ") {
    if (isPressable(event.target)) return;
    event.preventDefault();
    if (!event.repeat) {
      held.space = true;
      held.panned = false;
    }
    return;
  }
  if (event.key === "Enter" && isPressable(event.target)) return;
  const { cursor } = getState();
  const isDone =
    event.ctrlKey || event.metaKey
      ? withControl(event)
      : (cursor && onCursorKey(event, cursor)) || (event.shiftKey ? withShift(event) : !event.altKey && plain(event));
  if (isDone) event.preventDefault();
}

function onUp(event: KeyboardEvent): void {
  if (event.key === "\\") setState({ masksVisible: true });
  if (event.key !== " " || !held.space) return;
  held.space = false;
  if (!held.panned && !getState().dialog && !isTyping(event.target)) actions.togglePlay();
}

export function listenToKeys(): () => void {
  const onBlur = () => {
    held.space = false;
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
