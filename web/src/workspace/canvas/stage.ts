/** Draws the picture, masks, prompts and unfinished gestures. Two layers, so that hovering does not redraw the picture. */

import type { Box, Point, Proposal } from "../../api/types";
import { toPath } from "../../lib/contour";
import { toScreen, type View } from "../../lib/view";
import { type FrameWidth, widthFor } from "../../media/frames";
import { outlineOf, strideFor } from "../../media/masks";
import { useApp } from "../../state/app";
import { clicksOf } from "../model/prompts";
import type { Session } from "../model/session";
import { areProposalsShown, getState, offeredProposals, viewOf, type WorkspaceState } from "../model/store";
import { outlineOfLook, strokedLooks } from "./looks";
import { drawLabel, drawNames } from "./names";

const isSelected = ({ selected, others }: WorkspaceState, id: number): boolean =>
  id === selected || others.includes(id);

/** A gesture that is not finished. */
type Draft =
  | { readonly kind: "box"; readonly box: Box }
  | { readonly kind: "lasso"; readonly points: readonly Point[]; readonly adds: boolean }
  | { readonly kind: "paint"; readonly objectId: number | null; readonly outline: Path2D; readonly color: string };

export class Stage {
  draft: Draft | null = null;
  /** Pointer in source pixels, for the ring of the brush. */
  pointer: Point | null = null;
  private readonly pictureContext: CanvasRenderingContext2D;
  private readonly overlayContext: CanvasRenderingContext2D;
  private ratio = 1;
  private scheduled = 0;
  private lastPicture = "";

  constructor(
    private readonly session: Session,
    private readonly picture: HTMLCanvasElement,
    private readonly overlay: HTMLCanvasElement,
  ) {
    const contexts = [picture, overlay].map((canvas) => canvas.getContext("2d"));
    if (!contexts[0] || !contexts[1]) throw new Error("no 2D canvas in this browser");
    [this.pictureContext, this.overlayContext] = contexts as [CanvasRenderingContext2D, CanvasRenderingContext2D];
  }

  /** Fit both layers to `canvasSize`. */
  resize(): void {
    const { width, height } = getState().canvasSize;
    this.ratio = devicePixelRatio;
    for (const canvas of [this.picture, this.overlay]) {
      canvas.width = Math.round(width * this.ratio);
      canvas.height = Math.round(height * this.ratio);
    }
    this.lastPicture = "";
    this.schedule();
  }

  /** Return the width at which to fetch frames, no finer than the screen shows. */
  frameWidth(): FrameWidth {
    const wanted = widthFor(
      this.session.medium.width,
      this.session.medium.width * viewOf(getState()).scale * this.ratio,
    );
    // While playing, speed counts for more than the last bit of sharpness.
    return getState().playing && (wanted === null || wanted > 1280)
      ? widthFor(this.session.medium.width, 1280)
      : wanted;
  }

  schedule(): void {
    if (this.scheduled) return;
    this.scheduled = requestAnimationFrame(() => {
      this.scheduled = 0;
      this.draw();
    });
  }

  close(): void {
    cancelAnimationFrame(this.scheduled);
  }

  private draw(): void {
    const state = getState();
    const view = viewOf(state);
    this.overlay.dataset.view = `${view.scale} ${view.x} ${view.y}`; // for tests: where pixels are on the screen
    this.drawPicture(state, view);
    this.drawOverlay(state, view);
  }

  private drawPicture(state: WorkspaceState, view: View): void {
    const { medium, frames } = this.session;
    const bitmap = frames.get(state.frame, this.frameWidth());
    if (!bitmap && this.lastPicture) {
      // Keep the last frame on the screen rather than flash an empty one.
      return;
    }
    const key = `${state.frame}/${bitmap?.width}/${view.scale}/${view.x}/${view.y}`;
    if (key === this.lastPicture) return;
    this.lastPicture = bitmap ? key : "";
    const context = this.pictureContext;
    context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    context.clearRect(0, 0, state.canvasSize.width, state.canvasSize.height);
    const [x, y] = [view.x, view.y];
    const [width, height] = [medium.width * view.scale, medium.height * view.scale];
    if (!bitmap) {
      context.fillStyle = "rgb(128 128 128 / 12%)";
      context.fillRect(x, y, width, height);
      return;
    }
    // Far in, pixels are shown as they are.
    context.imageSmoothingEnabled = view.scale * this.ratio < 3;
    // The best filter is also the slowest: it is worth it where a picture shrinks and stands still.
    context.imageSmoothingQuality = view.scale < 1 && !state.playing ? "high" : "low";
    context.drawImage(bitmap, x, y, width, height);
  }

  private drawOverlay(state: WorkspaceState, view: View): void {
    const context = this.overlayContext;
    const { width, height } = state.canvasSize;
    context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    const split = state.split * width;
    if (state.compare === "before") this.clipped([0, split], height, () => this.drawEarlier(state, view));
    if (state.masksVisible) this.clipped([state.compare ? split : 0, width], height, () => this.drawMasks(state, view));
    if (state.masksVisible && !state.playing && areProposalsShown(state)) this.drawProposals(state, view);
    if (state.masksVisible && state.namesVisible && !state.compare) drawNames(context, this.session, state, view);
    if (state.compare) this.drawSplit(split, height);
    if (state.masksVisible && !state.playing) {
      this.drawHover(state, view);
      this.drawPrompts(state, view);
    }
    this.drawDraft(state, view);
    if (state.cursor) this.drawCursor(toScreen(view, state.cursor));
  }

  private clipped([left, right]: readonly [number, number], height: number, draw: () => void): void {
    const context = this.overlayContext;
    context.save();
    context.beginPath();
    context.rect(left, 0, right - left, height);
    context.clip();
    draw();
    context.restore();
  }

  /** Draw the masks as they were before their last change. */
  private drawEarlier(state: WorkspaceState, view: View): void {
    for (const mask of this.session.earlierMasks.get(state.frame)?.objects ?? []) {
      const object = state.objects.find((candidate) => candidate.id === mask.object_id);
      if (!object || object.hidden || mask.area === 0) continue;
      const path = outlineOf(mask.rle, strideFor(mask.rle.size, view.scale));
      this.drawMask(path, view, object.color, isSelected(state, object.id), mask.status === "uncertain");
    }
  }

  private inSource(view: View, draw: (context: CanvasRenderingContext2D, pixel: number) => void): void {
    const context = this.overlayContext;
    context.save();
    const scale = view.scale * this.ratio;
    context.setTransform(scale, 0, 0, scale, view.x * this.ratio, view.y * this.ratio);
    context.lineJoin = "round";
    draw(context, 1 / view.scale);
    context.restore();
  }

  private drawMasks(state: WorkspaceState, view: View): void {
    const masks = this.session.masks.get(state.frame);
    const { draft } = this;
    const shown = new Map(state.objects.filter((object) => !object.hidden).map((object) => [object.id, object]));
    const painted = draft?.kind === "paint" ? draft.objectId : undefined;
    const pending = state.pendingMasks.filter((mask) => mask.frame === state.frame);
    const stroked = strokedLooks(this.session).filter((look) => look.objectId !== painted);
    const isStroked = (id: number) => id === painted || stroked.some((look) => look.objectId === id);
    const isPending = (id: number) => pending.some((mask) => mask.objectId === id);
    for (const mask of masks?.objects ?? []) {
      const object = shown.get(mask.object_id);
      if (!object || mask.area === 0 || isStroked(mask.object_id) || isPending(mask.object_id)) continue;
      const path = outlineOf(mask.rle, strideFor(mask.rle.size, view.scale));
      this.drawMask(path, view, object.color, isSelected(state, object.id), mask.status === "uncertain");
    }
    for (const { objectId, loops, side } of pending) {
      const color = shown.get(objectId)?.color;
      if (color && !isStroked(objectId))
        this.drawMask(this.fromGrid(loops, side), view, color, objectId === state.selected, false);
    }
    for (const look of stroked) {
      const isSelected = look.objectId === state.selected;
      this.drawMask(outlineOfLook(look, this.session.medium), view, look.color, isSelected, false);
    }
    if (draft?.kind === "paint") this.drawMask(draft.outline, view, draft.color, true, false);
  }

  /** Draw proposals as faint outlines, and the highlighted one with its confidence. */
  private drawProposals(state: WorkspaceState, view: View): void {
    const { proposals } = state;
    if (!proposals) return;
    const { highlighted, list, accepted, marked } = proposals;
    const offered = offeredProposals(state);
    for (const proposal of offered)
      if (proposal.number !== highlighted) this.drawProposal(proposal, view, marked.has(proposal.number));
    // An accepted one stays in view until the server has made an object of it.
    for (const proposal of list) if (accepted.get(proposal.number) === null) this.drawProposal(proposal, view, true);
    const pointed = offered.find(({ number }) => number === highlighted);
    if (!pointed) return;
    this.drawProposal(pointed, view, true);
    const at = toScreen(view, [pointed.box[0], pointed.box[1]]);
    drawLabel(this.overlayContext, state.canvasSize.width, `${Math.round(pointed.confidence * 100)} %`, at, "#fff");
  }

  private drawProposal({ number, rle }: Proposal, view: View, isHighlighted: boolean): void {
    const path = outlineOf(rle, strideFor(rle.size, view.scale));
    // Neighbours differ in colour, so that each outline can be followed.
    const colors = useApp.getState().info?.colors ?? ["#fff"];
    const color = isHighlighted ? "#fff" : colors[number % colors.length];
    this.inSource(view, (context, pixel) => {
      context.fillStyle = color;
      context.globalAlpha = isHighlighted ? 0.35 : 0.08;
      context.fill(path, "evenodd");
      context.globalAlpha = isHighlighted ? 0.7 : 0.35;
      context.strokeStyle = "#000";
      context.lineWidth = (isHighlighted ? 4 : 2.5) * pixel;
      context.stroke(path);
      context.globalAlpha = isHighlighted ? 1 : 0.85;
      context.strokeStyle = color;
      context.lineWidth = (isHighlighted ? 2 : 1.25) * pixel;
      if (!isHighlighted) context.setLineDash([5 * pixel, 3 * pixel]);
      context.stroke(path);
    });
  }

  private fromGrid(loops: readonly Float32Array[], side: number): Path2D {
    const { width, height } = this.session.medium;
    return toPath(loops, width / side, height / side);
  }

  private drawMask(path: Path2D, view: View, color: string, isSelected: boolean, isUncertain: boolean): void {
    this.inSource(view, (context, pixel) => {
      context.globalAlpha = isSelected ? 0.42 : 0.3;
      context.fillStyle = color;
      context.fill(path, "evenodd");
      context.globalAlpha = 0.5;
      context.strokeStyle = "#000";
      context.lineWidth = (isSelected ? 4 : 3) * pixel;
      context.stroke(path);
      context.globalAlpha = 1;
      context.strokeStyle = color;
      context.lineWidth = (isSelected ? 2.25 : 1.5) * pixel;
      if (isUncertain) context.setLineDash([6 * pixel, 4 * pixel]);
      context.stroke(path);
    });
  }

  private drawHover(state: WorkspaceState, view: View): void {
    const { hover } = state;
    if (!hover || hover.frame !== state.frame || this.draft || state.tool !== "click") return;
    const path = this.fromGrid(hover.loops, hover.side);
    this.inSource(view, (context, pixel) => {
      // Over an existing mask, the line alone is enough.
      context.fillStyle = "#fff";
      context.globalAlpha = hover.isFirst ? 0.2 : 0.06;
      context.fill(path, "evenodd");
      context.globalAlpha = 0.45;
      context.strokeStyle = "#000";
      context.lineWidth = 3 * pixel;
      context.stroke(path);
      context.globalAlpha = 0.95;
      context.strokeStyle = "#fff";
      context.lineWidth = 1.25 * pixel;
      context.setLineDash([4 * pixel, 3 * pixel]);
      context.stroke(path);
    });
  }

  private drawPrompts(state: WorkspaceState, view: View): void {
    if (state.prompts.frame !== state.frame) return;
    for (const object of state.objects) {
      const prompt = state.prompts.byObject[String(object.id)];
      if (!prompt || object.hidden) continue;
      const isSelected = object.id === state.selected;
      if (prompt.box && isSelected) this.drawBox(prompt.box, view, object.color, true);
      const { points, labels } = clicksOf(prompt);
      for (const [i, point] of points.entries()) this.drawPoint(toScreen(view, point), labels[i], isSelected);
    }
  }

  private drawPoint([x, y]: Point, label: 0 | 1, isSelected: boolean): void {
    const context = this.overlayContext;
    const radius = isSelected ? 8 : 4;
    context.save();
    context.globalAlpha = isSelected ? 1 : 0.75;
    context.beginPath();
    context.arc(x, y, radius, 0, 2 * Math.PI);
    context.fillStyle = label ? "#17a35b" : "#e5383b";
    context.fill();
    context.lineWidth = isSelected ? 2 : 1.25;
    context.strokeStyle = "#fff";
    context.shadowColor = "rgb(0 0 0 / 60%)";
    context.shadowBlur = 4;
    context.stroke();
    context.shadowBlur = 0;
    if (isSelected) {
      context.beginPath();
      context.moveTo(x - 3.5, y);
      context.lineTo(x + 3.5, y);
      if (label) {
        context.moveTo(x, y - 3.5);
        context.lineTo(x, y + 3.5);
      }
      context.lineCap = "round";
      context.stroke();
    }
    context.restore();
  }

  private drawBox(box: Box, view: View, color: string, isDashed: boolean): void {
    const context = this.overlayContext;
    const [x0, y0] = toScreen(view, [box[0], box[1]]);
    const [x1, y1] = toScreen(view, [box[2], box[3]]);
    context.save();
    context.strokeStyle = "rgb(0 0 0 / 45%)";
    context.lineWidth = 3.5;
    context.strokeRect(x0, y0, x1 - x0, y1 - y0);
    context.strokeStyle = color;
    context.lineWidth = 1.5;
    if (isDashed) context.setLineDash([5, 4]);
    context.strokeRect(x0, y0, x1 - x0, y1 - y0);
    context.restore();
  }

  private drawDraft(state: WorkspaceState, view: View): void {
    const { draft } = this;
    const context = this.overlayContext;
    if (draft?.kind === "box") this.drawBox(draft.box, view, "#fff", false);
    if (draft?.kind === "lasso" && draft.points.length > 1) {
      context.save();
      context.beginPath();
      for (const point of draft.points) context.lineTo(...toScreen(view, point));
      context.fillStyle = draft.adds ? "rgb(255 255 255 / 16%)" : "rgb(229 56 59 / 22%)";
      context.fill();
      context.strokeStyle = "#fff";
      context.lineWidth = 1.5;
      context.setLineDash([5, 4]);
      context.stroke();
      context.restore();
    }
    if ((state.tool === "brush" || state.tool === "eraser") && this.pointer) {
      const [x, y] = toScreen(view, this.pointer);
      const radius = Math.max(1.5, (state.brushSize / 2) * view.scale);
      context.save();
      for (const [color, lineWidth] of [
        ["rgb(0 0 0 / 55%)", 3],
        ["#fff", 1.25],
      ] as const) {
        context.beginPath();
        context.arc(x, y, radius, 0, 2 * Math.PI);
        context.strokeStyle = color;
        context.lineWidth = lineWidth;
        if (state.tool === "eraser") context.setLineDash([4, 3]);
        context.stroke();
      }
      context.restore();
    }
  }

  private drawSplit(x: number, height: number): void {
    const context = this.overlayContext;
    context.save();
    context.fillStyle = "#fff";
    context.shadowColor = "rgb(0 0 0 / 50%)";
    context.shadowBlur = 5;
    context.fillRect(x - 1, 0, 2, height);
    context.restore();
  }

  private drawCursor([x, y]: Point): void {
    const context = this.overlayContext;
    for (const [color, lineWidth] of [
      ["rgb(0 0 0 / 60%)", 4],
      ["#fff", 1.75],
    ] as const) {
      context.beginPath();
      context.moveTo(x - 14, y);
      context.lineTo(x - 4, y);
      context.moveTo(x + 4, y);
      context.lineTo(x + 14, y);
      context.moveTo(x, y - 14);
      context.lineTo(x, y - 4);
      context.moveTo(x, y + 4);
      context.lineTo(x, y + 14);
      context.strokeStyle = color;
      context.lineWidth = lineWidth;
      context.stroke();
    }
  }
}
