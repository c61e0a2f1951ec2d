/** The shapes that a timeline draws, computed per pixel rather than per frame: an hour of video costs what a minute costs. */

/** A range of frames shown on a width of pixels. */
export interface Window {
  /** First frame shown; fractions allowed while scrolling. */
  readonly start: number;
  readonly stop: number;
  readonly width: number;
}

export const frameToX = (window: Window, frame: number): number =>
  ((frame - window.start) / (window.stop - window.start)) * window.width;

export function xToFrame(window: Window, x: number, numFrames: number): number {
  const frame = Math.floor(window.start + (x / window.width) * (window.stop - window.start));
  return Math.min(Math.max(frame, 0), numFrames - 1);
}

const LEVELS = [".", "p", "o", "u", "l"] as const;
/** `.` none, `p` present, `o` occluded, `u` uncertain, `l` lost; later in `LEVELS` wins where frames share a pixel. */
export type Level = (typeof LEVELS)[number];

/** Index in `LEVELS` by character code: an hour of video looks it up a hundred thousand times per lane. */
const RANK = new Uint8Array(128);
LEVELS.forEach((level, rank) => {
  RANK[level.charCodeAt(0)] = rank;
});

interface Segment {
  readonly x0: number;
  readonly x1: number;
  readonly level: Level;
}

/** Merge a status string into segments of equal status. Where many frames share a pixel, the worst status wins. */
export function laneSegments(status: string, window: Window): Segment[] {
  const segments: Segment[] = [];
  const framesPerPixel = (window.stop - window.start) / window.width;
  const push = (x0: number, x1: number, level: Level) => {
    if (level === ".") return;
    const last = segments.at(-1);
    if (last && last.level === level && Math.abs(last.x1 - x0) < 0.01) segments[segments.length - 1] = { ...last, x1 };
    else segments.push({ x0, x1, level });
  };
  const first = Math.max(0, Math.floor(window.start));
  const end = Math.min(status.length, Math.ceil(window.stop));
  if (framesPerPixel <= 1) {
    for (let frame = first; frame < end; ) {
      let stop = frame + 1;
      while (stop < end && status[stop] === status[frame]) stop++;
      push(frameToX(window, frame), frameToX(window, stop), status[frame] as Level);
      frame = stop;
    }
    return segments;
  }
  for (let x = 0; x < window.width; x++) {
    const from = Math.max(first, Math.floor(window.start + x * framesPerPixel));
    const to = Math.min(end, Math.max(from + 1, Math.floor(window.start + (x + 1) * framesPerPixel)));
    let worst = 0;
    for (let frame = from; frame < to; frame++) worst = Math.max(worst, RANK[status.charCodeAt(frame)]);
    if (from < to) push(x, x + 1, LEVELS[worst]);
  }
  return segments;
}

/** The part of a lane that the confidence row shows. */
interface ConfidenceLane {
  /** One letter of `LEVELS` per frame. */
  readonly status: string;
  /** 0..100 per frame. */
  readonly confidence: readonly number[];
}

/** Return the smallest confidence (0..100) per pixel column; -1 where no object is visible. */
export function lowestConfidence(lanes: readonly ConfidenceLane[], window: Window): Int16Array {
  const columns = new Int16Array(Math.max(0, Math.round(window.width))).fill(-1);
  for (let x = 0; x < columns.length; x++) {
    const [from, to] = framesOf(window, columns.length, x);
    for (const { status, confidence } of lanes) {
      for (let frame = from; frame < to && frame < status.length; frame++) {
        if (status[frame] !== "p" && status[frame] !== "u") continue;
        if (columns[x] < 0 || confidence[frame] < columns[x]) columns[x] = confidence[frame];
      }
    }
  }
  return columns;
}

/** Return 1 for each pixel column that shows a frame to review. @param review frames, ascending. */
export function columnsToReview(review: readonly number[], window: Window): Uint8Array {
  const columns = new Uint8Array(Math.max(0, Math.round(window.width)));
  let next = 0;
  for (let x = 0; x < columns.length; x++) {
    const [from, to] = framesOf(window, columns.length, x);
    while (next > 0 && review[next - 1] >= from) next--; // a wide frame covers several columns
    while (next < review.length && review[next] < from) next++;
    if (review[next] < to) columns[x] = 1;
  }
  return columns;
}

/** The frames [from, to) that a pixel column shows. */
function framesOf(window: Window, width: number, x: number): [from: number, to: number] {
  const span = (window.stop - window.start) / width;
  const from = Math.max(0, Math.floor(window.start + x * span));
  return [from, Math.max(from + 1, Math.floor(window.start + (x + 1) * span))];
}

const SECONDS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600];

interface Tick {
  /** Position in frames; may be a fraction. */
  readonly frame: number;
  readonly label: string;
}

/** Return round times at least `apart` pixels apart. */
export function ticks(window: Window, fps: number, apart = 90): Tick[] {
  const pixelsPerSecond = (window.width / (window.stop - window.start)) * fps;
  const step = SECONDS.find((seconds) => seconds * pixelsPerSecond >= apart) ?? 7200;
  const marks: Tick[] = [];
  for (let i = Math.ceil(window.start / fps / step); i * step * fps <= window.stop; i++) {
    marks.push({ frame: i * step * fps, label: clock(i * step, step < 1) });
  }
  return marks;
}

/** Format a time: 75.25 is "1:15", or "1:15.2" with tenths. */
export function clock(seconds: number, tenths = false): string {
  const total = tenths ? Math.round(seconds * 10) / 10 : Math.floor(seconds + 1e-6);
  const hours = Math.floor(total / 3600);
  const minutes = Math.floor((total % 3600) / 60);
  const rest = (total % 60).toFixed(tenths ? 1 : 0).padStart(tenths ? 4 : 2, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}

/** Show `frame`, moving the window as little as possible. */
export function reveal(window: Window, frame: number, numFrames: number): Window {
  const span = window.stop - window.start;
  const margin = span * 0.08;
  let start = window.start;
  if (frame < window.start + margin) start = frame - margin;
  else if (frame > window.stop - margin) start = frame + margin - span;
  start = Math.max(0, Math.min(start, numFrames - span));
  return { ...window, start, stop: start + span };
}

/** Zoom the window around a frame; never closer than ten frames, never wider than the video. */
export function zoomWindow(window: Window, factor: number, around: number, numFrames: number): Window {
  const span = Math.min(numFrames, Math.max(Math.min(10, numFrames), (window.stop - window.start) / factor));
  const share = (around - window.start) / (window.stop - window.start);
  const start = Math.max(0, Math.min(around - share * span, numFrames - span));
  return { ...window, start, stop: start + span };
}

/** Move the window by a share of its span, within the video. */
export function moveWindow(window: Window, share: number, numFrames: number): Window {
  const span = window.stop - window.start;
  const start = Math.max(0, Math.min(window.start + share * span, numFrames - span));
  return { ...window, start, stop: start + span };
}
