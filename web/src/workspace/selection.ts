/** Which object clicks are about. */

import { getState, setState } from "./store";

export function select(id: number | null): void {
  setState({ selected: id, drafting: false, candidates: null, hover: null });
}

/** The next click makes a new object. */
export function draftObject(): void {
  const { tool } = getState();
  setState({ selected: null, drafting: true, candidates: null, hover: null, tool: tool === "hand" ? "click" : tool });
}
