/** Which keys are shortcuts: the one place that decides it, by what has the focus. */

/** The focused element, as far as it matters for keys. */
export interface Focused {
  readonly tag: string;
  /** Type of an input. */
  readonly type?: string;
  readonly role?: string | null;
  readonly isEditable?: boolean;
}

export interface KeyPress {
  readonly key: string;
  readonly code?: string;
  readonly ctrlKey?: boolean;
  readonly metaKey?: boolean;
  readonly altKey?: boolean;
  readonly shiftKey?: boolean;
  /** An input method is composing a character. */
  readonly isComposing?: boolean;
  /** The key is typed with AltGr, which Windows reports as Ctrl and Alt. */
  readonly isAltGraph?: boolean;
}

const TEXT_ROLES = new Set(["combobox", "searchbox", "spinbutton", "textbox"]);
const NO_TEXT_TYPES = new Set("button checkbox color file hidden image radio range reset submit".split(" "));

/** What takes the keys: the page itself (shortcuts), a control such as a button, a slider, or a field for text. */
type FocusKind = "page" | "control" | "slider" | "text";

export function focusKind({ tag, type = "text", role, isEditable }: Focused): FocusKind {
  const name = tag.toLowerCase();
  if (isEditable || name === "textarea" || (role && TEXT_ROLES.has(role))) return "text";
  if (name === "input" && !NO_TEXT_TYPES.has(type)) return "text";
  if (name !== "input" && role === "slider") return "slider";
  // Whatever else can have the focus takes keys itself, as the handle between picture and timeline does.
  return name === "body" || name === "html" || role === "application" ? "page" : "control";
}

const SLIDER_KEYS = new Set(["ArrowLeft", "ArrowRight", "Home", "End"]);

/**
 * Return whether a key press may be a shortcut.
 *
 * On a control a letter never is: who types there means the control, or believes to be in a field. Keys with Ctrl
 * are, except in a field, which has its own undo.
 */
export function mayBeShortcut(press: KeyPress, focused: Focused): boolean {
  if (press.isComposing || press.key === "Dead" || press.key === "Process") return false;
  const kind = focusKind(focused);
  if (kind === "page") return true;
  if (kind === "text") return false;
  if (hasControl(press) || press.key === "Escape" || /^F\d+$/.test(press.key)) return true;
  return kind === "slider" && SLIDER_KEYS.has(press.key);
}

const hasControl = (press: KeyPress): boolean => (press.ctrlKey || press.metaKey || false) && !press.isAltGraph;

const NAMES: Readonly<Record<string, string>> = {
  ArrowLeft: "←",
  ArrowRight: "→",
  ArrowUp: "↑",
  ArrowDown: "↓",
  Backspace: "⌫",
  Delete: "⌫",
  Escape: "Esc",
  " ": "Space",
  "=": "+",
};

/** Return the keys as the help writes them, such as "Ctrl ⇧ Z"; null where Alt is held, which is no shortcut. */
export function chordOf(press: KeyPress): string | null {
  if (press.altKey && !press.isAltGraph) return null;
  const digit = /^Digit(\d)$/.exec(press.code ?? "")?.[1];
  const isCharacter = press.key.length === 1 && press.key !== " " && press.key !== "=";
  const isLetter = isCharacter && press.key.toUpperCase() !== press.key.toLowerCase();
  // Shift and a digit give a character that depends on the keyboard.
  const key = digit && press.shiftKey ? digit : isCharacter ? press.key.toUpperCase() : (NAMES[press.key] ?? press.key);
  // Shift is part of how a character such as "?" is typed, and says nothing more.
  const isShiftMeant = press.shiftKey && (!isCharacter || isLetter || digit !== undefined) && key !== "+";
  return [hasControl(press) && "Ctrl", isShiftMeant && "⇧", key].filter(Boolean).join(" ");
}
