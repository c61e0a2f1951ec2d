import { useSyncExternalStore } from "react";
import type { FrameMasks } from "../api/types";
import { getSession } from "./session";

const subscribe = (listener: () => void) => getSession()?.subscribe(listener) ?? (() => {});

/** Masks of a frame as they come in. */
export function useMasksOf(frame: number): FrameMasks | undefined {
  return useSyncExternalStore(subscribe, () => getSession()?.masks.get(frame));
}
