/** The keyboard shortcuts: one table of what each key does, which the help shows and `workspace/keyboard.ts` carries out. */

import { chordOf, type KeyPress } from "../../lib/keys";
import * as actions from "../model/actions";
import { getState, isVideo } from "../model/store";

interface Shortcut {
  /** Keys pressed together are joined by spaces, alternatives by commas. */
  readonly keys: string;
  readonly what: string;
  /** One action for each alternative; none for keys that are held, and for the mouse. */
  readonly run?: readonly (() => unknown)[];
  /** Only for media with a timeline. */
  readonly isForVideo?: true;
}

/** Stop the job, else dismiss the candidates, else close the proposals, else deselect. */
function onEscape(): void {
  const { job, candidates, proposals } = getState();
  if (job) actions.cancelJob();
  else if (candidates) actions.dismissCandidates();
  else if (proposals) actions.closeProposals();
  else actions.select(null);
}

/** Show the next suggested mask of a click; where there are none, highlight the next proposal. */
function onNext(): void {
  const { candidates, proposals } = getState();
  if (proposals && !candidates) actions.cycleProposal(1);
  else actions.cycleCandidate();
}

/** Refuse the highlighted proposal; where none is, clear the object's prompt. */
function onBackspace(): void {
  if (!actions.refuseHighlighted()) actions.clearPrompt();
}

export const SHORTCUTS: readonly { readonly title: string; readonly items: readonly Shortcut[] }[] = [
  {
    title: "Mark an object",
    items: [
      {
        keys: "C",
        what: "Click: left adds, right or Alt removes, dragging draws a box",
        run: [() => actions.setTool("click")],
      },
      { keys: "R", what: "Box", run: [() => actions.setTool("box")] },
      { keys: "B", what: "Brush", run: [() => actions.setTool("brush")] },
      { keys: "E", what: "Eraser", run: [() => actions.setTool("eraser")] },
      { keys: "L", what: "Lasso; Alt removes", run: [() => actions.setTool("lasso")] },
      {
        keys: "[, ]",
        what: "Brush smaller, larger",
        run: [() => actions.stepBrushSize(-1), () => actions.stepBrushSize(1)],
      },
      { keys: "X", what: "Switch clicks between adding and removing", run: [actions.toggleClickAdds] },
      { keys: "G", what: "Next suggested mask of a click, or next proposal", run: [onNext] },
      {
        keys: "K",
        what: "Move the pointer with the arrow keys; Enter adds, Backspace removes",
        run: [actions.showCursor],
      },
    ],
  },
  {
    title: "Objects",
    items: [
      { keys: "N", what: "New object", run: [actions.draftObject] },
      {
        keys: "↑, ↓",
        what: "Select the previous, next object",
        run: [() => actions.selectNeighbour(-1), () => actions.selectNeighbour(1)],
      },
      { keys: "Ctrl A", what: "Select all objects", run: [actions.selectAll] },
      {
        keys: "Ctrl Click",
        what: "Select several, in the list or on the picture (in the list also ⇧); mark proposals",
      },
      { keys: "1…9", what: "Give the class with this key; if no class has it, select the object with this number" },
      { keys: "F2", what: "Rename", run: [() => actions.startRenaming()] },
      { keys: "Z", what: "Zoom to the selected objects", run: [actions.zoomToSelection] },
      {
        keys: "⌫",
        what: "Clear the object's clicks and edits on this frame; refuse the highlighted proposal",
        run: [onBackspace],
      },
      { keys: "⇧ ⌫", what: "Delete the selected objects", run: [actions.deleteSelectedObjects] },
      { keys: "Esc", what: "Back to the picture; deselect; stop tracking or searching", run: [onEscape] },
    ],
  },
  {
    title: "Find everything",
    items: [
      { keys: "⇧ F", what: "Propose all objects of this frame", run: [actions.findProposals] },
      { keys: "⇧ E", what: "Find and track everything in the video", run: [actions.discover], isForVideo: true },
      { keys: "⇧ G", what: "Previous proposal", run: [() => actions.cycleProposal(-1)] },
      {
        keys: "Enter",
        what: "Accept the highlighted proposal, as a click on it does",
        run: [actions.acceptHighlighted],
      },
      { keys: "⇧ Enter", what: "Accept the marked proposals, or all that are shown", run: [actions.acceptOffered] },
      { keys: "Ctrl Enter", what: "Accept them and track them", run: [actions.acceptAndTrack], isForVideo: true },
      { keys: "Right Click", what: "Refuse the proposal under the pointer" },
    ],
  },
  {
    title: "Time",
    items: [
      { keys: "Space", what: "Play, pause" },
      { keys: "←, →", what: "One frame", run: [() => actions.step(-1), () => actions.step(1)], isForVideo: true },
      {
        keys: "⇧ ←, ⇧ →",
        what: "Ten frames",
        run: [() => actions.step(-10), () => actions.step(10)],
        isForVideo: true,
      },
      { keys: "Home, End", what: "First, last frame", run: [actions.seekFirst, actions.seekLast], isForVideo: true },
      {
        keys: "P, ⇧ P",
        what: "Next, previous frame that you clicked or drew on",
        run: [() => actions.seekPrompted(1), () => actions.seekPrompted(-1)],
        isForVideo: true,
      },
      {
        keys: "I, O",
        what: "Start, end the range here",
        run: [actions.setInPoint, actions.setOutPoint],
        isForVideo: true,
      },
      { keys: "⇧ X", what: "Clear the range", run: [() => actions.setRange(null)], isForVideo: true },
      { keys: "⇧ L", what: "Loop", run: [actions.toggleLooping], isForVideo: true },
    ],
  },
  {
    title: "Track and review",
    items: [
      { keys: "T", what: "Track the remaining frames, both ways", run: [actions.trackUntracked], isForVideo: true },
      {
        keys: "⇧ T",
        what: "Update the frames that your corrections affect",
        run: [() => actions.track("both", "changed")],
        isForVideo: true,
      },
      { keys: "F", what: "Next frame to review", run: [actions.seekNextToReview], isForVideo: true },
      { keys: "A", what: "Accept this frame or photo, or reopen it", run: [actions.toggleAccepted] },
      { keys: "⇧ A", what: "Accept the range, or all frames", run: [actions.acceptRange] },
    ],
  },
  {
    title: "View",
    items: [
      { keys: "Wheel", what: "Zoom at the pointer" },
      { keys: "Space", what: "Hold and drag to move the picture (or use the middle button)" },
      { keys: "0", what: "Fit to window", run: [actions.fitView] },
      { keys: "⇧ 1", what: "Actual pixels (1:1)", run: [actions.zoomToPixels] },
      { keys: "+, -", what: "Zoom", run: [() => actions.zoomBy(1.25), () => actions.zoomBy(1 / 1.25)] },
      { keys: "H", what: "Move the picture by dragging", run: [() => actions.setTool("hand")] },
      { keys: "\\", what: "Hold to hide masks" },
      { keys: "M", what: "Show or hide masks", run: [actions.toggleMasks] },
      { keys: "⇧ N", what: "Show or hide names on the picture", run: [actions.toggleNames] },
      { keys: "Y", what: "Compare before and after", run: [actions.toggleCompare] },
    ],
  },
  {
    title: "General",
    items: [
      { keys: "Ctrl Z", what: "Undo", run: [actions.undo] },
      { keys: "Ctrl ⇧ Z, Ctrl Y", what: "Redo", run: [actions.redo, actions.redo] },
      { keys: "Ctrl E", what: "Export", run: [() => actions.openDialog("export")] },
      {
        keys: "Ctrl ←, Ctrl →",
        what: "Previous, next file",
        run: [() => actions.openSibling(-1), () => actions.openSibling(1)],
      },
      { keys: "?", what: "This help", run: [() => actions.openDialog("help")] },
    ],
  },
];

const BY_CHORD = new Map(
  SHORTCUTS.flatMap((group) => group.items).flatMap((item) =>
    item.keys.split(", ").flatMap((chord, i) => (item.run ? [[chord, { ...item, run: item.run[i] }] as const] : [])),
  ),
);

/** Keys that a class can have: digits, and the letters that have no action. The server knows the same ones. */
export const FREE_KEYS = [..."123456789abcdefghijklmnopqrstuvwxyz"]
  .filter((key) => !BY_CHORD.has(key.toUpperCase()))
  .join("");

/** Return the action of a key press; null if it has none. */
export function actionOf(press: KeyPress): (() => unknown) | null {
  const chord = chordOf(press);
  const shortcut = chord === null ? undefined : BY_CHORD.get(chord);
  if (shortcut) return shortcut.isForVideo && !isVideo(getState()) ? null : shortcut.run;
  if (chord === null || chord.length !== 1) return null;
  const { project, objects } = getState();
  const hotKey = chord.toLowerCase();
  const named = project?.classes.find((entry) => entry.key === hotKey);
  if (named) return () => actions.assignClass(named.name);
  const numbered = objects.find((object) => String(object.id) === hotKey);
  return numbered ? () => actions.select(numbered.id) : null;
}
