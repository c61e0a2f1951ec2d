/** The choices of the last export, remembered in this browser for each project. */

import { useState } from "react";
import type { Options } from "../api/types";

export interface Choices {
  readonly format: string;
  readonly options: Options;
  readonly onlyAccepted: boolean;
}

const key = (pid: string, place: string): string => `masklet.export.${place}.${pid}`;

/** Read what was remembered; what is not an object, or cannot be read, is as if nothing were. */
export function readRemembered<T extends object>(text: string | null, usual: T): T {
  try {
    const stored: unknown = JSON.parse(text ?? "null");
    return stored !== null && typeof stored === "object" && !Array.isArray(stored) ? { ...usual, ...stored } : usual;
  } catch {
    return usual;
  }
}

/**
 * Remember the choices of a dialog.
 *
 * @param pid id of the project.
 * @param place names the dialog.
 * @param usual the choices of somebody who has never exported.
 */
export function useLastChoices<T extends object>(pid: string, place: string, usual: T): [T, (changed: T) => void] {
  const [choices, setChoices] = useState<T>(() => readRemembered(localStorage.getItem(key(pid, place)), usual));
  const remember = (changed: T) => {
    setChoices(changed);
    try {
      localStorage.setItem(key(pid, place), JSON.stringify(changed));
    } catch {
      // A browser that stores nothing, as in private windows, remembers nothing.
    }
  };
  return [choices, remember];
}
