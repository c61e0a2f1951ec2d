/** Mouse, pen and fingers on the canvas, turned into actions. */

import type { Point, Rle } from "../api/types";
import { toPath, traceBitmap } from "../lib/contour";
import { fillPolygon, strokeLine } from "../lib/paint";
import { type Bitmap, rleContains } from "../lib/rle";
import { keepVisible, pan, pinch, toScreen, toSource, type View, zoomAt } from "../lib/view";
import * as actions from "./actions";
import { foresee, hoverAt, setHovering } from "./embedding";
import { held } from "./held";
import { promptOf } from "./said";
import type { Session } from "./session";
import type { Stage } from "./stage";
import { getState, selectedObject, setState } from "./store";
import { bitmapOf, colorOfDraft, lookOf } from "./strokes";

/** Pixels on the screen that a press may move and still be a click. */
const CLICK_SLACK = { mouse: 4, pen: 6, touch: 10 } as const;
const POINT_RADIUS = 10;

type Gesture =
  | { readonly kind: "pan"; last: Point }
  | { readonly kind: "pinch"; last: readonly [Point, Point] }
  | { readonly kind: "press"; readonly from: Point; readonly button: number; readonly slack: number; isBox: boolean }
  | Painting
  | { readonly kind: "lasso"; readonly points: Point[]; readonly adds: boolean };

/** Strokes on a mask. `before` is what the mask was, undefined where the page does not know it yet. */
interface Painting {
  readonly kind: "paint";
  readonly before: Rle | null | undefined;
  readonly bitmap: Bitmap;
  readonly value: 0 | 1;
  readonly radius: number;
  readonly path: Point[];
}

export class CanvasInput {
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
    setHovering(false);
  }

  // Places.

  private screen(event: MouseEvent): Point {
    const rect = this.element.getBoundingClientRect();
    return [event.clientX - rect.left, event.clientY - rect.top];
  }

  private source(screen: Point): Point {
    return toSource(this.stage.view, screen);
  }

  private inPicture([x, y]: Point): boolean {
    return x >= 0 && y >= 0 && x < this.session.medium.width && y < this.session.medium.height;
  }

  private clamped([x, y]: Point): Point {
    const { width, height } = this.session.medium;
    const clamp = (value: number, high: number) => Math.round(Math.min(Math.max(value, 0), high - 1) * 100) / 100;
    return [clamp(x, width), clamp(y, height)];
  }

  private setView(view: View): void {
    setState({ view: keepVisible(view, this.session.medium, this.stage.size) });
  }

  // Events.

  private down(event: PointerEvent): void {
    if (event.target instanceof HTMLInputElement) return;
    this.element.dataset.pointed = ""; // the ring is for those who come by keyboard
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
    if (event.button === 1 || held.space || getState().tool === "hand") {
      event.preventDefault();
      held.panned = true;
      this.gesture = { kind: "pan", last: at };
      this.onPanning(true);
      return;
    }
    if (event.button > 2) return;
    this.begin(event, at);
  }

  private begin(event: PointerEvent, at: Point): void {
    const { tool } = getState();
    const subtracts = event.button === 2 || event.altKey;
    if (tool === "click" || tool === "box") {
      const slack = CLICK_SLACK[event.pointerType as keyof typeof CLICK_SLACK] ?? CLICK_SLACK.mouse;
      this.gesture = { kind: "press", from: at, button: event.button, slack, isBox: false };
      const from = this.source(at);
      if (tool === "click" && this.inPicture(from) && this.ownPointAt(at) === null && this.strangerAt(from) === null)
        foresee(this.clamped(from), getState().clickAdds !== subtracts ? 1 : 0);
      return;
    }
    if (!this.mayDraw()) return;
    const from = this.source(at);
    if (tool === "lasso") this.gesture = { kind: "lasso", points: [from], adds: !subtracts };
    else {
      const value = (tool === "brush") !== subtracts ? 1 : 0;
      const radius = getState().brushSize / 2;
      const before = actions.maskToEdit();
      const bitmap = bitmapOf(lookOf(this.session, getState().selected), this.session.medium);
      this.gesture = { kind: "paint", before, bitmap, value, radius, path: [from] };
      this.paintTo(this.gesture, from);
    }
  }

  private mayDraw(): boolean {
    const object = selectedObject(getState());
    return !object || actions.isOpen(object);
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
      this.setView(pan(this.stage.view, at[0] - gesture.last[0], at[1] - gesture.last[1]));
      gesture.last = at;
    } else if (gesture.kind === "pinch") {
      const [a, b] = [...this.pointers.values()];
      if (!b) return;
      this.setView(pinch(this.stage.view, gesture.last, [a, b], this.stage.smallestScale));
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
    if (tool !== "click" || playing || event.pointerType === "touch" || held.space || !this.inPicture(source)) {
      setHovering(false);
      return;
    }
    setHovering(true);
    if (this.ownPointAt(this.screen(event)) !== null || this.strangerAt(source) !== null) hoverAt(null, 1);
    else hoverAt(this.clamped(source), clickAdds !== event.altKey ? 1 : 0);
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
      if (x1 - x0 >= 1 && y1 - y0 >= 1) actions.setBox(draft.box);
    } else this.click(gesture.from, gesture.button === 2 || event.altKey);
    this.stage.schedule();
  }

  private cancel(event: PointerEvent): void {
    this.pointers.delete(event.pointerId);
    this.drop();
  }

  private leave(): void {
    this.stage.pointer = null;
    setHovering(false);
    this.stage.schedule();
  }

  /** Leave a gesture without doing anything. */
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
      this.setView(pan(this.stage.view, -event.deltaX * unit, -event.deltaY * unit));
      return;
    }
    const strength = event.ctrlKey ? 0.01 : 0.0018;
    const factor = Math.exp(-Math.max(-120, Math.min(120, event.deltaY * unit)) * strength);
    this.setView(zoomAt(this.stage.view, factor, this.screen(event), this.stage.smallestScale));
  }

  // What gestures do.

  private click(at: Point, flips: boolean): void {
    const source = this.source(at);
    const { tool, clickAdds } = getState();
    if (tool !== "click" || !this.inPicture(source)) return;
    const own = this.ownPointAt(at);
    if (own !== null) {
      actions.removePoint(own);
      return;
    }
    const stranger = flips ? null : this.strangerAt(source);
    if (stranger !== null) actions.select(stranger);
    else actions.addPoint(this.clamped(source), clickAdds !== flips ? 1 : 0);
  }

  /** With nothing selected, a click on somebody's mask selects instead of adding. */
  private strangerAt(source: Point): number | null {
    const { selected, drafting, frame, objects } = getState();
    if (selected !== null || drafting) return null;
    const hit = this.session.masks
      .get(frame)
      ?.objects.filter((mask) => rleContains(mask.rle, source[0], source[1]))
      .sort((a, b) => a.area - b.area)
      .find((mask) => objects.some((one) => one.id === mask.object_id && !one.hidden));
    return hit?.object_id ?? null;
  }

  private ownPointAt(at: Point): number | null {
    const { selected } = getState();
    const found = promptOf(selected).points.findIndex((point) => {
      const [x, y] = toScreen(this.stage.view, point);
      return Math.hypot(x - at[0], y - at[1]) <= POINT_RADIUS;
    });
    return found >= 0 ? found : null;
  }

  private paintTo({ bitmap, path, radius, value }: Painting, to: Point): void {
    const state = getState();
    strokeLine(bitmap, path[path.length - 1], to, radius, value);
    path.push(to);
    this.stage.draft = {
      kind: "paint",
      objectId: state.selected,
      outline: toPath(traceBitmap(bitmap), 1, 1),
      color: colorOfDraft(state),
    };
    this.stage.schedule();
  }

  private finishPainting({ before, bitmap, path, radius, value }: Painting): void {
    const again = (mask: Bitmap) => {
      for (let i = 1; i < path.length; i++) strokeLine(mask, path[i - 1], path[i], radius, value);
    };
    // Where the mask has changed under the brush, or come in only now, the strokes are put on what it is.
    const isSame = before !== undefined && before === actions.maskToEdit();
    actions.drawMask(again, isSame ? bitmap : null);
  }

  private finishLasso(points: readonly Point[], adds: boolean): void {
    if (points.length >= 3) actions.drawMask((mask) => fillPolygon(mask, points, adds ? 1 : 0));
  }
}
