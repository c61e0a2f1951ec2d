/** State of the counts, part of the workspace's state. */

import type { CountAnswer } from "../../api/types";
import type { Zone } from "../../lib/zones";

export interface Counting {
  readonly isOpen: boolean;
  readonly zones: readonly Zone[];
  /** The line or region that is being drawn. */
  readonly drawing: Pick<Zone, "kind" | "points"> | null;
  readonly anchor: "center" | "bottom";
  readonly answer: CountAnswer | null;
  readonly isRunning: boolean;
  readonly error: string | null;
}

export const NO_COUNTING: Counting = {
  isOpen: false,
  zones: [],
  drawing: null,
  anchor: "center",
  answer: null,
  isRunning: false,
  error: null,
};
