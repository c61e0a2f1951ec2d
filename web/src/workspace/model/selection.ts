/** The selected object, which the next click prompts, and the object whose name is being edited. */

import { getState, setState } from "./store";

export function select(id: number | null): void {
  setState({ selected: id, drafting: false, candidates: null, hover: null });
}

/** Select by place in the list of objects. */
export function selectAt(index: number): void {
  const object = getState().objects[index];
  if (object) select(object.id);
}

/** Let the next click make a new object. */
export function draftObject(): void {
  const { tool } = getState();
  setState({ selected: null, drafting: true, candidates: null, hover: null, tool: tool === "hand" ? "click" : tool });
}

/** Edit the name of an object, of the selected one if not given. */
export function startRenaming(id: number | null = getState().selected): void {
  setState({ renaming: id });
}

export const stopRenaming = (): void => setState({ renaming: null });
