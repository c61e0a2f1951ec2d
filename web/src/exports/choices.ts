/** The choices of the last export, remembered in this browser for each project. */

import { useState } from "react";
import type { Options } from "../api/types";
import { readRemembered, remember as store } from "../lib/remembered";

export interface Choices {
  readonly format: string;
  readonly options: Options;
  readonly onlyAccepted: boolean;
}

const key = (pid: string, place: string): string => `masklet.export.${place}.${pid}`;

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
    store(key(pid, place), changed);
  };
  return [choices, remember];
}
