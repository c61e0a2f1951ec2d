/** Strokes of brush, eraser and lasso that the server has not answered: kept in order to be drawn over the masks. */

import type { Edit } from "../../lib/paint";
import { getState, type Stroke, selectedObject, setState, type WorkspaceState } from "./store";

const NEW_OBJECT_COLOR = "#8ab4ff";

/** Return the colour of what is being drawn: the selected object's, or that of a new one. */
export const draftColor = (state: WorkspaceState = getState()): string =>
  selectedObject(state)?.color ?? NEW_OBJECT_COLOR;

/** @param objectId null while only the server can say whose mask is changed. */
export function showStroke(objectId: number | null, edit: Edit): void {
  setState((state) => {
    const stroke: Stroke = { frame: state.frame, objectId, color: draftColor(state), edit };
    return { strokes: [...state.strokes, stroke] };
  });
}

/** Remove a stroke that was answered or refused. */
export function hideStroke(edit: Edit): void {
  setState((state) => ({ strokes: state.strokes.filter((stroke) => stroke.edit !== edit) }));
}
