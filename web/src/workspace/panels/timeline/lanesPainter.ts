/** Draws ruler, film strip, confidence and the objects' lanes on canvases. */

import type { Timeline } from "../../../api/types";
import { columnsToReview, frameToX, laneSegments, lowestConfidence, ticks, type Window } from "../../../lib/lanes";

const RULER = 22;
const STRIP = 46;
const CONFIDENCE = 26;
export const HEAD = RULER + STRIP + CONFIDENCE;
export const LANE = 24;

export interface Strip {
  readonly image: ImageBitmap;
  readonly start: number;
  readonly stop: number;
}

interface Theme {
  readonly text: string;
  readonly faint: string;
  readonly line: string;
  readonly lane: string;
  readonly accent: string;
  readonly present: string;
  readonly uncertain: string;
  readonly occluded: string;
  readonly lost: string;
  readonly font: string;
}

export function readTheme(): Theme {
  const style = getComputedStyle(document.documentElement);
  const token = (name: string) => style.getPropertyValue(`--${name}`).trim();
  return {
    text: token("muted"),
    faint: token("faint"),
    line: token("line"),
    lane: token("lane"),
    accent: token("accent"),
    present: token("present"),
    uncertain: token("uncertain"),
    occluded: token("occluded"),
    lost: token("lost"),
    font: `500 10.5px ${token("font")}`,
  };
}

export function paintHead(
  context: CanvasRenderingContext2D,
  window: Window,
  data: { timeline: Timeline | null; strips: readonly Strip[]; fps: number; numFrames: number },
  theme: Theme,
): void {
  const { width } = window;
  context.clearRect(0, 0, width, HEAD);
  const end = Math.min(width, frameToX(window, data.numFrames));

  context.font = theme.font;
  context.textBaseline = "middle";
  for (const tick of ticks(window, data.fps)) {
    const x = Math.round(frameToX(window, tick.frame)) + 0.5;
    context.fillStyle = theme.line;
    context.fillRect(x - 0.5, RULER - 6, 1, 6);
    context.fillStyle = theme.faint;
    context.fillText(tick.label, x + 4, RULER / 2);
  }

  for (const strip of data.strips) {
    const x0 = frameToX(window, strip.start);
    const x1 = frameToX(window, strip.stop);
    if (x1 > 0 && x0 < width) context.drawImage(strip.image, x0, RULER, x1 - x0, STRIP);
  }

  for (const [start, stop] of data.timeline?.accepted ?? []) {
    context.fillStyle = theme.present;
    const x0 = frameToX(window, start);
    context.fillRect(x0, RULER - 3, Math.max(1.5, frameToX(window, stop) - x0), 3);
  }

  const top = RULER + STRIP + 4;
  const height = CONFIDENCE - 6;
  context.fillStyle = theme.lane;
  context.fillRect(0, top, end, height);
  const columns = lowestConfidence(data.timeline?.objects ?? [], window);
  const toReview = columnsToReview(data.timeline?.review ?? [], window);
  for (let x = 0; x < columns.length; x++) {
    const value = columns[x];
    if (value < 0) continue;
    // The tracker decides which frames to review, not the height of a bar.
    context.fillStyle = toReview[x] ? theme.uncertain : theme.present;
    context.globalAlpha = 0.75;
    const bar = Math.max(1.5, (value / 100) * height);
    context.fillRect(x, top + height - bar, 1, bar);
  }
  context.globalAlpha = 1;

  context.fillStyle = theme.uncertain;
  let lastX = Number.NEGATIVE_INFINITY;
  for (const frame of data.timeline?.review ?? []) {
    const x = frameToX(window, frame + 0.5);
    if (x < -4 || x > width + 4 || x - lastX < 5) continue;
    lastX = x;
    context.beginPath();
    context.moveTo(x - 4, top - 3);
    context.lineTo(x + 4, top - 3);
    context.lineTo(x, top + 4);
    context.fill();
  }
}

export interface Lane {
  readonly objectId: number;
  readonly color: string;
  readonly isSelected: boolean;
  readonly isHidden: boolean;
}

/** @param scrollTop pixels by which the lanes are scrolled */
export function paintLanes(
  context: CanvasRenderingContext2D,
  window: Window,
  lanes: readonly Lane[],
  timeline: Timeline | null,
  theme: Theme,
  scrollTop: number,
  height: number,
): void {
  context.clearRect(0, 0, window.width, height);
  const first = Math.max(0, Math.floor(scrollTop / LANE));
  const last = Math.min(lanes.length, Math.ceil((scrollTop + height) / LANE));
  for (let i = first; i < last; i++) {
    const lane = lanes[i];
    const top = i * LANE - scrollTop;
    if (lane.isSelected) {
      context.fillStyle = theme.lane;
      context.fillRect(0, top, window.width, LANE);
    }
    context.fillStyle = theme.line;
    context.fillRect(0, top + LANE - 1, window.width, 1);
    const data = timeline?.objects.find((object) => object.object_id === lane.objectId);
    if (!data) continue;
    context.globalAlpha = lane.isHidden ? 0.35 : 1;
    paintStatus(context, data.status, window, top, lane.color, theme);
    paintStale(context, data.stale, window, top);
    paintPrompted(context, data.prompted, window, top, lane.color);
    context.globalAlpha = 1;
  }
}

function paintStatus(
  context: CanvasRenderingContext2D,
  status: string,
  window: Window,
  top: number,
  color: string,
  theme: Theme,
): void {
  const middle = top + LANE / 2;
  // Shape as well as colour tells the states apart: full, hatched, thin, dotted.
  for (const { x0, x1, level } of laneSegments(status, window)) {
    const width = Math.max(1, x1 - x0);
    if (level === "p") {
      context.fillStyle = color;
      context.beginPath();
      context.roundRect(x0, middle - 6, width, 12, Math.min(3, width / 2));
      context.fill();
    } else if (level === "u") {
      context.save();
      context.beginPath();
      context.rect(x0, middle - 6, width, 12);
      context.clip();
      context.fillStyle = color;
      const alpha = context.globalAlpha;
      context.globalAlpha = alpha * 0.35;
      context.fillRect(x0, middle - 6, width, 12);
      context.globalAlpha = alpha;
      context.strokeStyle = theme.uncertain;
      context.lineWidth = 1.5;
      context.beginPath();
      for (let x = Math.floor(x0 / 6) * 6 - 12; x < x1 + 12; x += 6) {
        context.moveTo(x, middle + 6);
        context.lineTo(x + 12, middle - 6);
      }
      context.stroke();
      context.restore();
    } else if (level === "o") {
      context.fillStyle = theme.occluded;
      context.fillRect(x0, middle - 1, width, 2);
    } else {
      context.fillStyle = theme.lost;
      for (let x = x0; x < x1; x += 5) context.fillRect(x, middle - 1.5, Math.min(3, x1 - x), 3);
    }
  }
}

function paintStale(
  context: CanvasRenderingContext2D,
  ranges: readonly (readonly [number, number])[],
  window: Window,
  top: number,
): void {
  for (const [start, stop] of ranges) {
    const x0 = Math.max(0, frameToX(window, start));
    const x1 = Math.min(window.width, frameToX(window, stop));
    if (x1 <= x0) continue;
    context.save();
    context.beginPath();
    context.rect(x0, top + LANE / 2 - 6, x1 - x0, 12);
    context.clip();
    context.strokeStyle = "rgb(255 255 255 / 70%)";
    context.lineWidth = 1.5;
    context.beginPath();
    for (let x = Math.floor(x0 / 7) * 7 - 20; x < x1; x += 7) {
      context.moveTo(x, top + LANE);
      context.lineTo(x + 20, top);
    }
    context.stroke();
    context.restore();
  }
}

function paintPrompted(
  context: CanvasRenderingContext2D,
  prompted: readonly number[],
  window: Window,
  top: number,
  color: string,
): void {
  const middle = top + LANE / 2;
  for (const frame of prompted) {
    const x = frameToX(window, frame + 0.5);
    if (x < -6 || x > window.width + 6) continue;
    context.beginPath();
    context.moveTo(x, middle - 6);
    context.lineTo(x + 6, middle);
    context.lineTo(x, middle + 6);
    context.lineTo(x - 6, middle);
    context.closePath();
    context.fillStyle = "#fff";
    context.fill();
    context.strokeStyle = color;
    context.lineWidth = 2.5;
    context.stroke();
    context.strokeStyle = "rgb(0 0 0 / 45%)";
    context.lineWidth = 0.75;
    context.stroke();
  }
}
