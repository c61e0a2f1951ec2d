/** The selected objects, of which the next click changes one, and the object whose name is being edited. */

import { getState, selectedObjects, setState } from "./store";

export function select(id: number | null): void {
  setState({ selected: id, others: [], drafting: false, candidates: null, hover: null });
}

/** Add an object to the selected ones, or take it out. */
export function toggleSelected(id: number): void {
  const ids = selectedObjects(getState()).map((object) => object.id);
  if (ids.includes(id)) selectMany(ids.filter((other) => other !== id));
  else selectMany([...ids, id]);
}

/** Select all objects of the list from the selected one to this one. */
export function selectUpTo(id: number): void {
  const { objects, selected } = getState();
  const places = [id, selected ?? id].map((one) => objects.findIndex((object) => object.id === one));
  const [from, to] = [Math.min(...places), Math.max(...places)];
  selectMany(
    objects.slice(Math.max(from, 0), to + 1).map((object) => object.id),
    selected,
  );
}

export function selectAll(): void {
  const { objects, selected } = getState();
  selectMany(
    objects.map((object) => object.id),
    selected,
  );
}

/** @param first the object that the next click changes; the last of the list if it is not among them. */
function selectMany(ids: readonly number[], first: number | null = null): void {
  const selected = first !== null && ids.includes(first) ? first : (ids[ids.length - 1] ?? null);
  setState({ selected, others: ids.filter((id) => id !== selected), drafting: false, candidates: null, hover: null });
}

/** Select the next or the previous object of the list. */
export function selectNeighbour(by: 1 | -1): void {
  const { objects, selected } = getState();
  const at = objects.findIndex((object) => object.id === selected);
  const next = objects[at < 0 ? (by > 0 ? 0 : objects.length - 1) : at + by];
  if (next) select(next.id);
}

/** Let the next click make a new object. */
export function draftObject(): void {
  const { tool } = getState();
  setState({
    selected: null,
    others: [],
    drafting: true,
    candidates: null,
    hover: null,
    tool: tool === "hand" ? "click" : tool,
  });
}

/** Edit the name of an object, of the selected one if not given. */
export function startRenaming(id: number | null = getState().selected): void {
  setState({ renaming: id });
}

export const stopRenaming = (): void => setState({ renaming: null });
