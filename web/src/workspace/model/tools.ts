/** The tool in use, its options, and the pointer that the arrow keys move. */

import type { Point } from "../../api/types";
import { hoverAt, setHovering } from "./hover";
import { refreshEmbedding } from "./localDecoder";
import { addPoint } from "./prompting";
import { decideAt } from "./proposals";
import { getState, setState, type Tool } from "./store";

export function setTool(tool: Tool): void {
  setState({ tool, hover: null, cursor: null });
  if (tool === "click" || tool === "box") refreshEmbedding();
}

export function setBrushSize(size: number): void {
  const { medium } = getState();
  setState({
    brushSize: Math.round(Math.min(Math.max(size, 1), medium ? Math.max(medium.width, medium.height) / 2 : 500)),
  });
}

/** Make the brush smaller (-1) or larger (1) by a fifth, at least by one pixel. */
export function stepBrushSize(direction: 1 | -1): void {
  const { brushSize } = getState();
  if (direction < 0) setBrushSize(Math.min(brushSize - 1, brushSize / 1.2));
  else setBrushSize(Math.max(brushSize + 1, brushSize * 1.2));
}

/** Choose whether a plain click adds to the mask or removes from it. */
export const setClickAdds = (clickAdds: boolean): void => setState({ clickAdds });
export const toggleClickAdds = (): void => setClickAdds(!getState().clickAdds);

export function setLocalMode(localMode: boolean): void {
  localStorage.setItem("masklet.local", localMode ? "1" : "0");
  setState({ localMode, hover: null });
  refreshEmbedding();
}

// The pointer that the arrow keys move.

export function showCursor(): void {
  const { medium } = getState();
  if (medium) setState({ cursor: [medium.width / 2, medium.height / 2], tool: "click" });
}

export function hideCursor(): void {
  setState({ cursor: null });
  setHovering(false);
}

/** Move the pointer by a step in a direction, within the picture. */
export function moveCursor(direction: Point, isLarge: boolean): void {
  const { medium, cursor } = getState();
  if (!medium || !cursor) return;
  const stride = Math.max(medium.width, medium.height) / (isLarge ? 12 : 60);
  const clamp = (value: number, size: number) => Math.min(Math.max(value, 0), size - 1);
  const next: Point = [
    clamp(cursor[0] + direction[0] * stride, medium.width),
    clamp(cursor[1] + direction[1] * stride, medium.height),
  ];
  setState({ cursor: next });
  setHovering(true);
  hoverAt(next, 1);
}

/** Click where the pointer is. */
export function clickAtCursor(label: 0 | 1): void {
  const { cursor } = getState();
  if (cursor && !decideAt(cursor, label)) addPoint(cursor, label);
}
