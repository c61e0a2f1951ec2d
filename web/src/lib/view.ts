/** The picture on the canvas: screen = source * scale + offset, in CSS pixels. */

import type { Box, Point } from "../api/types";

export interface View {
  readonly scale: number;
  readonly x: number;
  readonly y: number;
}

export interface Size {
  readonly width: number;
  readonly height: number;
}

const MAX_SCALE = 40;

interface Margins {
  readonly side: number;
  readonly top: number;
  readonly bottom: number;
}

/** Margins around the fitted picture, for the controls that float over the canvas. */
export const MARGINS: Margins = { side: 20, top: 20, bottom: 58 };

/** Return the view with the whole picture, as large as it fits. */
export function fit(source: Size, canvas: Size, margins: Margins): View {
  const width = Math.max(canvas.width - 2 * margins.side, 1);
  const height = Math.max(canvas.height - margins.top - margins.bottom, 1);
  const scale = Math.min(width / source.width, height / source.height);
  return {
    scale,
    x: margins.side + (width - source.width * scale) / 2,
    y: margins.top + (height - source.height * scale) / 2,
  };
}

/** Return the view with a box of the source, and a margin around it, as large as it fits. */
export function fitBox([x0, y0, x1, y1]: Box, canvas: Size, margins: Margins): View {
  const margin = 0.2 * Math.max(x1 - x0, y1 - y0, 8);
  const [left, top] = [x0 - margin, y0 - margin];
  const fitted = fit({ width: x1 - x0 + 2 * margin, height: y1 - y0 + 2 * margin }, canvas, margins);
  const scale = Math.min(fitted.scale, MAX_SCALE);
  const centre = [(x0 + x1) / 2 - left, (y0 + y1) / 2 - top];
  return {
    scale,
    x: fitted.x + centre[0] * (fitted.scale - scale) - left * scale,
    y: fitted.y + centre[1] * (fitted.scale - scale) - top * scale,
  };
}

/** Return the smallest box around boxes. */
export const unionOf = (boxes: readonly Box[]): Box => [
  Math.min(...boxes.map((box) => box[0])),
  Math.min(...boxes.map((box) => box[1])),
  Math.max(...boxes.map((box) => box[2])),
  Math.max(...boxes.map((box) => box[3])),
];

export const toScreen = (view: View, [x, y]: Point): Point => [x * view.scale + view.x, y * view.scale + view.y];
export const toSource = (view: View, [x, y]: Point): Point => [(x - view.x) / view.scale, (y - view.y) / view.scale];

/** Zoom so that what lies under `at` (screen) stays there. */
export function zoomAt(view: View, factor: number, at: Point, smallest: number): View {
  const scale = Math.min(MAX_SCALE, Math.max(smallest, view.scale * factor));
  const change = scale / view.scale;
  return { scale, x: at[0] - (at[0] - view.x) * change, y: at[1] - (at[1] - view.y) * change };
}

export const pan = (view: View, dx: number, dy: number): View => ({ ...view, x: view.x + dx, y: view.y + dy });

/** Keep some of the picture on the canvas, so that it can be found again. */
export function keepVisible(view: View, source: Size, canvas: Size): View {
  const keep = 64;
  const clamp = (value: number, low: number, high: number) => Math.min(Math.max(value, low), high);
  return {
    scale: view.scale,
    x: clamp(view.x, keep - source.width * view.scale, canvas.width - keep),
    y: clamp(view.y, keep - source.height * view.scale, canvas.height - keep),
  };
}

/** Zoom and pan with two fingers: what lay under them stays under them. */
export function pinch(
  view: View,
  before: readonly [Point, Point],
  after: readonly [Point, Point],
  smallest: number,
): View {
  const middle = ([a, b]: readonly [Point, Point]): Point => [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2];
  const distance = ([a, b]: readonly [Point, Point]) => Math.hypot(a[0] - b[0], a[1] - b[1]);
  const from = middle(before);
  const to = middle(after);
  const factor = distance(before) > 0 ? distance(after) / distance(before) : 1;
  return zoomAt(pan(view, to[0] - from[0], to[1] - from[1]), factor, to, smallest);
}
