import { expect, test } from "vitest";
import { chordOf, type Focused, focusKind, mayBeShortcut } from "./keys";

const CONTROLS: readonly Focused[] = [
  { tag: "BUTTON" },
  { tag: "A" },
  { tag: "SELECT" },
  { tag: "SUMMARY" },
  { tag: "DIV" }, // with a tabindex
  ...["checkbox", "radio", "range", "color", "file", "button", "submit"].map((type) => ({ tag: "INPUT", type })),
  ...["button", "radio", "switch", "tab", "menuitem", "option", "link", "treeitem", "separator"].map((role) => ({
    tag: "DIV",
    role,
  })),
];
const FIELDS: readonly Focused[] = [
  { tag: "INPUT" },
  ...["text", "search", "number", "email", "password", "url", "date"].map((type) => ({ tag: "INPUT", type })),
  { tag: "TEXTAREA" },
  { tag: "DIV", isEditable: true },
  ...["textbox", "combobox", "searchbox", "spinbutton"].map((role) => ({ tag: "DIV", role })),
];
const LETTERS = [..."rabbit", "K", "1", "?", "[", " ", "Enter", "ArrowLeft", "Backspace", "Tab"];

test.each(CONTROLS)("on $tag $type $role a letter is no shortcut, Ctrl and Escape are", (focused) => {
  expect(LETTERS.filter((key) => mayBeShortcut({ key }, focused))).toEqual([]);
  expect(mayBeShortcut({ key: "B", shiftKey: true }, focused)).toBe(false);
  expect(mayBeShortcut({ key: "z", ctrlKey: true }, focused)).toBe(true);
  expect(mayBeShortcut({ key: "z", metaKey: true }, focused)).toBe(true);
  expect(mayBeShortcut({ key: "Escape" }, focused)).toBe(true);
});

test.each(FIELDS)("in the field $tag $type $role nothing is a shortcut", (focused) => {
  for (const key of [...LETTERS, "Escape", "F2", "Home"]) expect(mayBeShortcut({ key }, focused)).toBe(false);
  expect(mayBeShortcut({ key: "z", ctrlKey: true }, focused)).toBe(false);
});

test.each([{ tag: "BODY" }, { tag: "DIV", role: "application" }])("on $tag $role keys are shortcuts", (focused) => {
  for (const key of LETTERS) expect(mayBeShortcut({ key }, focused)).toBe(true);
  expect(mayBeShortcut({ key: "a", isComposing: true }, focused)).toBe(false);
  expect(mayBeShortcut({ key: "Dead" }, focused)).toBe(false);
});

test("arrows on the playhead go from frame to frame, letters do nothing", () => {
  const playhead = { tag: "DIV", role: "slider" };
  expect(focusKind(playhead)).toBe("slider");
  expect(["ArrowLeft", "Home", "t", " "].map((key) => mayBeShortcut({ key }, playhead))).toEqual([
    true,
    true,
    false,
    false,
  ]);
});

test("AltGr types a character and is not Ctrl", () => {
  const typed = { key: "[", ctrlKey: true, altKey: true, isAltGraph: true };
  expect(chordOf(typed)).toBe("[");
  expect(mayBeShortcut(typed, { tag: "BUTTON" })).toBe(false);
});

test("keys are written as in the help, whatever the keyboard", () => {
  expect(chordOf({ key: "P", code: "KeyP", shiftKey: true })).toBe("⇧ P");
  expect(chordOf({ key: "P", code: "KeyP" })).toBe("P"); // caps lock
  expect(chordOf({ key: "z", ctrlKey: true, shiftKey: true })).toBe("Ctrl ⇧ Z");
  expect(chordOf({ key: "?", shiftKey: true })).toBe("?");
  expect(chordOf({ key: "!", code: "Digit1", shiftKey: true })).toBe("⇧ 1");
  expect(chordOf({ key: "=", code: "Equal" })).toBe("+");
  expect(chordOf({ key: "+", code: "Equal", shiftKey: true })).toBe("+");
  expect(chordOf({ key: "Delete", shiftKey: true })).toBe("⇧ ⌫");
  expect(chordOf({ key: "b", altKey: true })).toBeNull();
});
