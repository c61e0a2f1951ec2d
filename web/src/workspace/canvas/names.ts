/** Names and classes of objects, written on the picture at their masks. */

import type { Point } from "../../api/types";
import { rleBox } from "../../lib/rle";
import { toScreen, type View } from "../../lib/view";
import type { Session } from "../model/session";
import { classColor, type WorkspaceState } from "../model/store";

const HEIGHT = 18;
const PADDING = 6;

export function drawNames(
  context: CanvasRenderingContext2D,
  session: Session,
  state: WorkspaceState,
  view: View,
): void {
  for (const mask of session.masks.get(state.frame)?.objects ?? []) {
    const object = state.objects.find((candidate) => candidate.id === mask.object_id);
    if (!object || object.hidden || mask.area === 0) continue;
    const text = object.class_name ? `${object.class_name} · ${object.name}` : object.name;
    const box = rleBox(mask.rle);
    const [left, top] = toScreen(view, [box[0], box[1]]);
    const color = classColor(state, object.class_name) ?? object.color;
    drawLabel(context, state.canvasSize.width, text, [left, top], color);
  }
}

/** Write a text above a place on the canvas, or over it at the canvas's edge. */
export function drawLabel(
  context: CanvasRenderingContext2D,
  canvasWidth: number,
  text: string,
  [left, top]: Point,
  color: string,
): void {
  context.save();
  context.font = "600 11px system-ui, sans-serif";
  context.textBaseline = "middle";
  const width = context.measureText(text).width + 2 * PADDING;
  const x = Math.max(2, Math.min(left, canvasWidth - width - 2));
  const y = Math.max(2, top - HEIGHT - 2);
  context.fillStyle = "rgb(0 0 0 / 72%)";
  context.beginPath();
  context.roundRect(x, y, width, HEIGHT, 4);
  context.fill();
  context.fillStyle = color;
  context.fillRect(x, y + HEIGHT - 2, width, 2);
  context.fillStyle = "#fff";
  context.fillText(text, x + PADDING, y + HEIGHT / 2);
  context.restore();
}
