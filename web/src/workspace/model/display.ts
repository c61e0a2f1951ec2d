/** Actions on the display: zoom, masks on and off, the comparison, dialogs. */

import { rleBox } from "../../lib/rle";
import { fitBox, keepVisible, MARGINS, type Size, unionOf, type View, zoomAt } from "../../lib/view";
import { toast } from "../../state/app";
import { getSession } from "./session";
import {
  type Comparison,
  type DialogName,
  getState,
  scaleOf,
  selectedObjects,
  setState,
  smallestScale,
  viewOf,
} from "./store";

// Zoom.

/** @param canvasSize CSS pixels. */
export const setCanvasSize = (canvasSize: Size): void => setState({ canvasSize });

/** Move and zoom the picture; some of it always stays on the canvas. */
export function setView(view: View): void {
  const { medium, canvasSize } = getState();
  if (medium) setState({ view: keepVisible(view, medium, canvasSize) });
}

/** Zoom around the centre of the canvas. */
export function zoomBy(factor: number): void {
  const state = getState();
  const { width, height } = state.canvasSize;
  setView(zoomAt(viewOf(state), factor, [width / 2, height / 2], smallestScale(state)));
}

/** Show one pixel of the picture on one pixel of the screen. */
export const zoomToPixels = (): void => zoomBy(1 / devicePixelRatio / scaleOf(getState()));

/** Show the selected objects as large as they fit. */
export function zoomToSelection(): void {
  const state = getState();
  const ids = selectedObjects(state).map((object) => object.id);
  const boxes = (getSession()?.masks.get(state.frame)?.objects ?? []).flatMap((mask) =>
    ids.includes(mask.object_id) && mask.area > 0 ? [rleBox(mask.rle)] : [],
  );
  if (!boxes.length) {
    toast(ids.length ? "The selected object has no mask on this frame." : "Select an object first.");
    return;
  }
  const view = fitBox(unionOf(boxes), state.canvasSize, MARGINS);
  if (view.scale > scaleOf({ ...state, view: null })) setView(view);
  else fitView(); // the objects fill the picture
}

export const fitView = (): void => setState({ view: null });

// Masks.

export const setMasksVisible = (masksVisible: boolean): void => setState({ masksVisible });
export const toggleMasks = (): void => setMasksVisible(!getState().masksVisible);

export function toggleNames(): void {
  const namesVisible = !getState().namesVisible;
  localStorage.setItem("masklet.names", namesVisible ? "1" : "0");
  setState({ namesVisible });
}

/** Compare with the masks before their last change, or with the picture alone; null ends it. */
export function setCompare(compare: Comparison | null): void {
  setState({ compare, masksVisible: true });
  if (compare === "before") getSession()?.earlierMasks.ensure(getState().frame);
}

export const toggleCompare = (): void => setCompare(getState().compare ? null : "before");

/** @param split 0..1 of the canvas's width. */
export const setSplit = (split: number): void => setState({ split: Math.min(1, Math.max(0, split)) });

// Dialogs.

export const openDialog = (dialog: DialogName): void => setState({ dialog });
export const closeDialog = (): void => setState({ dialog: null });
