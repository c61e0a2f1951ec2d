/** Mouse, pen and fingers on the canvas, turned into actions. */

import type { Point, Rle } from "../../api/types";
import { toPath, traceBitmap } from "../../lib/contour";
import { fillPolygon, strokeLine } from "../../lib/paint";
import { type Bitmap, rleContains } from "../../lib/rle";
import { pan, pinch, toScreen, toSource, zoomAt } from "../../lib/view";
import * as actions from "../model/actions";
import { promptOf } from "../model/prompts";
import type { Session } from "../model/session";
import { areProposalsShown, getState, smallestScale, viewOf } from "../model/store";
import { draftColor } from "../model/strokes";
import { heldKeys } from "./heldKeys";
import { bitmapOf, lookOf } from "./looks";
import type { Stage } from "./stage";

/** Screen pixels that a press may move and still be a click. */
const CLICK_SLACK = { mouse: 4, pen: 6, touch: 10 } as const;
const POINT_RADIUS = 10;

type Gesture =
  | { readonly kind: "pan"; last: Point }
  | { readonly kind: "pinch"; last: readonly [Point, Point] }
  | { readonly kind: "press"; readonly from: Point; readonly button: number; readonly slack: number; isBox: boolean }
  | Painting
  | { readonly kind: "lasso"; readonly points: Point[]; readonly adds: boolean };

/** A stroke on a mask. `before` is the mask it started from, undefined where the page does not have it yet. */
interface Painting {
  readonly kind: "paint";
  readonly before: Rle | null | undefined;
  readonly bitmap: Bitmap;
  readonly value: 0 | 1;
  readonly radius: number;
  readonly path: Point[];
}

export class PointerInput {
  private gesture: Gesture | null = null;
  private readonly pointers = new Map<number, Point>();
  private readonly stop = new AbortController();

  constructor(
    private readonly session: Session,
    private readonly stage: Stage,
    private readonly element: HTMLElement,
    private readonly onPanning: (isPanning: boolean) => void,
  ) {
    const options = { signal: this.stop.signal };
    element.addEventListener("pointerdown", (event) => this.down(event), options);
    element.addEventListener("pointermove", (event) => this.move(event), options);
    element.addEventListener("pointerup", (event) => this.up(event), options);
    element.addEventListener("pointercancel", (event) => this.cancel(event), options);
    element.addEventListener("pointerleave", () => this.leave(), options);
    element.addEventListener("wheel", (event) => this.wheel(event), { ...options, passive: false });
    element.addEventListener("blur", () => delete element.dataset.pointed, options);
    element.addEventListener("contextmenu", (event) => event.preventDefault(), options);
    element.addEventListener("auxclick", (event) => event.preventDefault(), options);
  }

  close(): void {
    this.stop.abort();
    actions.setHovering(false);
  }

  // Coordinates.

  private screen(event: MouseEvent): Point {
    const rect = this.element.getBoundingClientRect();
    return [event.clientX - rect.left, event.clientY - rect.top];
  }

  private source(screen: Point): Point {
    return toSource(viewOf(getState()), screen);
  }

  private inPicture([x, y]: Point): boolean {
    return x >= 0 && y >= 0 && x < this.session.medium.width && y < this.session.medium.height;
  }

  private clamped([x, y]: Point): Point {
    const { width, height } = this.session.medium;
    const clamp = (value: number, high: number) => Math.round(Math.min(Math.max(value, 0), high - 1) * 100) / 100;
    return [clamp(x, width), clamp(y, height)];
  }

  // Events.

  private down(event: PointerEvent): void {
    if (event.target instanceof HTMLInputElement) return;
    this.element.dataset.pointed = ""; // no focus ring for the mouse
    this.element.focus({ preventScroll: true });
    const at = this.screen(event);
    this.pointers.set(event.pointerId, at);
    this.element.setPointerCapture(event.pointerId);
    if (event.pointerType === "touch" && this.pointers.size === 2) {
      this.drop();
      const [a, b] = [...this.pointers.values()];
      this.gesture = { kind: "pinch", last: [a, b] };
      return;
    }
    if (this.gesture) return;
    if (event.button === 1 || heldKeys.space || getState().tool === "hand") {
      event.preventDefault();
      heldKeys.panned = true;
      this.gesture = { kind: "pan", last: at };
      this.onPanning(true);
      return;
    }
    if (event.button > 2) return;
    // With Ctrl a click selects objects, several one after the other.
    if (event.button === 0 && (event.ctrlKey || event.metaKey)) {
      if (actions.toggleMarkedAt(this.source(at))) return;
      const object = this.objectAt(this.source(at));
      if (object !== null) actions.toggleSelected(object);
      return;
    }
    this.begin(event, at);
  }

  private begin(event: PointerEvent, at: Point): void {
    const { tool } = getState();
    const isOpposite = event.button === 2 || event.altKey;
    if (tool === "click" || tool === "box") {
      const slack = CLICK_SLACK[event.pointerType as keyof typeof CLICK_SLACK] ?? CLICK_SLACK.mouse;
      this.gesture = { kind: "press", from: at, button: event.button, slack, isBox: false };
      const from = this.source(at);
      if (
        tool === "click" &&
        this.inPicture(from) &&
        this.promptPointAt(at) === null &&
        this.otherObjectAt(from) === null
      )
        actions.prefetchDecode(this.clamped(from), getState().clickAdds !== isOpposite ? 1 : 0);
      return;
    }
    if (!actions.ensureDrawable()) return;
    const from = this.source(at);
    if (tool === "lasso") this.gesture = { kind: "lasso", points: [from], adds: !isOpposite };
    else {
      const value = (tool === "brush") !== isOpposite ? 1 : 0;
      const radius = getState().brushSize / 2;
      const before = actions.maskToEdit();
      const bitmap = bitmapOf(lookOf(this.session, getState().selected), this.session.medium);
      this.gesture = { kind: "paint", before, bitmap, value, radius, path: [from] };
      this.paintTo(this.gesture, from);
    }
  }

  private move(event: PointerEvent): void {
    const at = this.screen(event);
    if (this.pointers.has(event.pointerId)) this.pointers.set(event.pointerId, at);
    const source = this.source(at);
    this.stage.pointer = source;
    const { gesture } = this;
    if (!gesture) {
      this.hover(event, source);
      return;
    }
    if (gesture.kind === "pan") {
      actions.setView(pan(viewOf(getState()), at[0] - gesture.last[0], at[1] - gesture.last[1]));
      gesture.last = at;
    } else if (gesture.kind === "pinch") {
      const [a, b] = [...this.pointers.values()];
      if (!b) return;
      const state = getState();
      actions.setView(pinch(viewOf(state), gesture.last, [a, b], smallestScale(state)));
      gesture.last = [a, b];
    } else if (gesture.kind === "press") {
      const far = Math.hypot(at[0] - gesture.from[0], at[1] - gesture.from[1]) > gesture.slack;
      if (far && gesture.button === 0) gesture.isBox = true;
      if (!gesture.isBox) return;
      const [a, b] = [this.clamped(this.source(gesture.from)), this.clamped(source)];
      this.stage.draft = {
        kind: "box",
        box: [Math.min(a[0], b[0]), Math.min(a[1], b[1]), Math.max(a[0], b[0]), Math.max(a[1], b[1])],
      };
    } else if (gesture.kind === "paint") {
      for (const part of event.getCoalescedEvents?.() ?? [event]) this.paintTo(gesture, this.source(this.screen(part)));
    } else {
      gesture.points.push(source);
      this.stage.draft = { kind: "lasso", points: [...gesture.points], adds: gesture.adds };
    }
    this.stage.schedule();
  }

  private hover(event: PointerEvent, source: Point): void {
    const { tool, playing, clickAdds } = getState();
    if (tool === "brush" || tool === "eraser") this.stage.schedule();
    if (tool !== "click" || playing || event.pointerType === "touch" || heldKeys.space || !this.inPicture(source)) {
      actions.setHovering(false);
      return;
    }
    if (actions.highlightAt(source)) {
      actions.setHovering(false);
      return;
    }
    actions.setHovering(true);
    if (this.promptPointAt(this.screen(event)) !== null || this.otherObjectAt(source) !== null)
      actions.hoverAt(null, 1);
    else actions.hoverAt(this.clamped(source), clickAdds !== event.altKey ? 1 : 0);
  }

  private up(event: PointerEvent): void {
    this.pointers.delete(event.pointerId);
    const { gesture } = this;
    if (!gesture) return;
    if (gesture.kind === "pinch") {
      if (this.pointers.size === 0) this.gesture = null;
      return;
    }
    const draft = this.stage.draft;
    this.gesture = null;
    this.stage.draft = null;
    if (gesture.kind === "pan") this.onPanning(false);
    else if (gesture.kind === "paint") this.finishPainting(gesture);
    else if (gesture.kind === "lasso") this.finishLasso(gesture.points, gesture.adds);
    else if (gesture.isBox && draft?.kind === "box") {
      const [x0, y0, x1, y1] = draft.box;
      if (x1 - x0 >= 1 && y1 - y0 >= 1) actions.changePrompt({ box: draft.box });
    } else this.click(gesture.from, gesture.button === 2 || event.altKey);
    this.stage.schedule();
  }

  private cancel(event: PointerEvent): void {
    this.pointers.delete(event.pointerId);
    this.drop();
  }

  private leave(): void {
    this.stage.pointer = null;
    actions.setHovering(false);
    this.stage.schedule();
  }

  /** Cancel the gesture. */
  private drop(): void {
    this.gesture = null;
    this.stage.draft = null;
    this.onPanning(false);
    this.stage.schedule();
  }

  private wheel(event: WheelEvent): void {
    event.preventDefault();
    const unit = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : 1;
    const isPan = !event.ctrlKey && !event.metaKey && (event.deltaX !== 0 || event.shiftKey);
    if (isPan) {
      actions.setView(pan(viewOf(getState()), -event.deltaX * unit, -event.deltaY * unit));
      return;
    }
    const strength = event.ctrlKey ? 0.01 : 0.0018;
    const factor = Math.exp(-Math.max(-120, Math.min(120, event.deltaY * unit)) * strength);
    const state = getState();
    actions.setView(zoomAt(viewOf(state), factor, this.screen(event), smallestScale(state)));
  }

  // Finished gestures.

  private click(at: Point, isOpposite: boolean): void {
    const source = this.source(at);
    const { tool, clickAdds } = getState();
    if (tool !== "click" || !this.inPicture(source)) return;
    if (actions.decideAt(source, isOpposite ? 0 : 1)) return;
    // A right click that misses a proposal is not meant as the first click on a new object.
    if (isOpposite && areProposalsShown(getState()) && getState().selected === null) return;
    const point = this.promptPointAt(at);
    if (point !== null) {
      actions.removePoint(point);
      return;
    }
    const other = isOpposite ? null : this.otherObjectAt(source);
    if (other !== null) actions.select(other);
    else actions.addPoint(this.clamped(source), clickAdds !== isOpposite ? 1 : 0);
  }

  /** Return the object whose mask lies here while nothing is selected: a click then selects it. */
  private otherObjectAt(source: Point): number | null {
    const { selected, drafting } = getState();
    return selected !== null || drafting ? null : this.objectAt(source);
  }

  /** Return the smallest object that is shown here. */
  private objectAt(source: Point): number | null {
    const { frame, objects } = getState();
    const hit = this.session.masks
      .get(frame)
      ?.objects.filter((mask) => rleContains(mask.rle, source[0], source[1]))
      .sort((a, b) => a.area - b.area)
      .find((mask) => objects.some((object) => object.id === mask.object_id && !object.hidden));
    return hit?.object_id ?? null;
  }

  /** Return the index of the selected object's point that is drawn here: a click removes it. */
  private promptPointAt(at: Point): number | null {
    const state = getState();
    const view = viewOf(state);
    const index = promptOf(state.selected).points.findIndex((point) => {
      const [x, y] = toScreen(view, point);
      return Math.hypot(x - at[0], y - at[1]) <= POINT_RADIUS;
    });
    return index >= 0 ? index : null;
  }

  private paintTo({ bitmap, path, radius, value }: Painting, to: Point): void {
    const state = getState();
    strokeLine(bitmap, path[path.length - 1], to, radius, value);
    path.push(to);
    this.stage.draft = {
      kind: "paint",
      objectId: state.selected,
      outline: toPath(traceBitmap(bitmap), 1, 1),
      color: draftColor(state),
    };
    this.stage.schedule();
  }

  private finishPainting({ before, bitmap, path, radius, value }: Painting): void {
    const edit = (mask: Bitmap) => {
      for (let i = 1; i < path.length; i++) strokeLine(mask, path[i - 1], path[i], radius, value);
    };
    // If the mask changed or arrived during the stroke, the stroke is applied to the new mask.
    const isSame = before !== undefined && before === actions.maskToEdit();
    actions.drawMask(edit, isSame ? bitmap : null);
  }

  private finishLasso(points: readonly Point[], adds: boolean): void {
    if (points.length >= 3) actions.drawMask((mask) => fillPolygon(mask, points, adds ? 1 : 0));
  }
}
