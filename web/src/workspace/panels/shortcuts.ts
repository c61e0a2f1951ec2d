/** The keyboard shortcuts as the help shows them; `workspace/keyboard.ts` carries them out. */

interface Shortcut {
  /** Keys pressed together are joined by spaces, alternatives by commas. */
  readonly keys: string;
  readonly what: string;
}

export const SHORTCUTS: readonly { readonly title: string; readonly items: readonly Shortcut[] }[] = [
  {
    title: "Mark an object",
    items: [
      { keys: "C", what: "Click: left adds, right or Alt removes, dragging draws a box" },
      { keys: "R", what: "Box" },
      { keys: "B", what: "Brush" },
      { keys: "E", what: "Eraser" },
      { keys: "L", what: "Lasso; Alt removes" },
      { keys: "[, ]", what: "Brush smaller, larger" },
      { keys: "X", what: "Switch clicks between adding and removing" },
      { keys: "G", what: "Next suggested mask of a click" },
      { keys: "K", what: "Move the pointer with the arrow keys; Enter adds, Backspace removes" },
    ],
  },
  {
    title: "Objects",
    items: [
      { keys: "N", what: "New object" },
      { keys: "1…9", what: "Select" },
      { keys: "F2", what: "Rename" },
      { keys: "⌫", what: "Clear the object's clicks and edits on this frame" },
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
      { keys: "P, ⇧ P", what: "Next, previous frame that you clicked or drew on" },
      { keys: "I, O", what: "Start, end the range here" },
      { keys: "⇧ X", what: "Clear the range" },
      { keys: "⇧ L", what: "Loop" },
    ],
  },
  {
    title: "Track and review",
    items: [
      { keys: "T", what: "Track the remaining frames, both ways; if none remain, track all again" },
      { keys: "⇧ T", what: "Update the frames that your corrections affect" },
      { keys: "F", what: "Next frame to review" },
      { keys: "A", what: "Accept this frame or photo, or reopen it" },
      { keys: "⇧ A", what: "Accept the range, or all frames" },
    ],
  },
  {
    title: "View",
    items: [
      { keys: "Wheel", what: "Zoom at the pointer" },
      { keys: "Space", what: "Hold and drag to move the picture (or use the middle button)" },
      { keys: "0", what: "Fit to window" },
      { keys: "⇧ 1", what: "Actual pixels (1:1)" },
      { keys: "+, -", what: "Zoom" },
      { keys: "H", what: "Move the picture by dragging" },
      { keys: "\\", what: "Hold to hide masks" },
      { keys: "M", what: "Show or hide masks" },
      { keys: "Y", what: "Compare before and after" },
    ],
  },
  {
    title: "General",
    items: [
      { keys: "Ctrl Z", what: "Undo" },
      { keys: "Ctrl ⇧ Z", what: "Redo" },
      { keys: "Ctrl E", what: "Export" },
      { keys: "Ctrl ←, Ctrl →", what: "Previous, next file" },
      { keys: "?", what: "This help" },
    ],
  },
];
