import { useSyncExternalStore } from "react";
import type { ShownFrame } from "../../media/masks";
import { getSession } from "./session";

const subscribe = (listener: () => void) => getSession()?.subscribe(listener) ?? (() => {});

/** Return the masks of a frame, again whenever they change. */
export function useFrameMasks(frame: number): ShownFrame | undefined {
  return useSyncExternalStore(subscribe, () => getSession()?.masks.get(frame));
}
