/** Preview under the pointer: the mask that a click would give, by the decoder in the page. */

import type { Point } from "../../api/types";
import type { DecodeRequest } from "../../decoder/protocol";
import { cachedAnswer, localDecode } from "./localDecoder";
import { promptOf, requestFor, withPoint } from "./prompts";
import { getState, selectedObject, setState } from "./store";

/** The latest place under the pointer that has not been asked about. */
let next: { point: Point; label: 0 | 1 } | null = null;
let isAsking = false;
/** Grows with every click: answers to what was asked before it are dropped. */
let epoch = 0;
/** True while the pointer is over the picture: an answer that comes after it left is not shown. */
let isHovering = false;

/** Show what a click here would give. While an answer is being computed only the latest place is kept. */
export function hoverAt(point: Point | null, label: 0 | 1): void {
  next = point && { point, label };
  if (!point) setState({ hover: null });
  else if (!isAsking) void answerHover();
}

export function setHovering(value: boolean): void {
  isHovering = value;
  if (!value) hoverAt(null, 1);
}

/** Remove the preview until the pointer moves again, as after a click. */
export function dropHover(): void {
  epoch++;
  next = null;
  setState({ hover: null });
}

/** Return the request that a click here would make, and for which object; null is a new one. */
function requestForClick(point: Point, label: 0 | 1): { readonly id: number | null; readonly request: DecodeRequest } {
  const { frame, selected, drafting } = getState();
  const id = drafting ? null : selected;
  return { id, request: requestFor(frame, id, withPoint(promptOf(id), point, label)) };
}

/** Start decoding when the button or finger goes down, so that the answer is there when it goes up. */
export function prefetchDecode(point: Point, label: 0 | 1): void {
  const { frame } = getState();
  const { request } = requestForClick(point, label);
  if (!cachedAnswer(frame, request)) void localDecode(frame, request);
}

async function answerHover(): Promise<void> {
  isAsking = true;
  try {
    while (next) {
      const { point, label } = next;
      const askedIn = epoch;
      next = null;
      if (selectedObject(getState())?.locked) return;
      const { frame } = getState();
      const { id, request } = requestForClick(point, label);
      const answer = await localDecode(frame, request);
      const best = answer?.masks[0];
      if (getState().frame !== frame || getState().tool !== "click" || !answer) return;
      const hover = best
        ? { frame, loops: best.loops, side: answer.side, iou: best.iou, label, isFirst: id === null }
        : null;
      if (askedIn === epoch && isHovering) setState({ hover });
    }
  } finally {
    isAsking = false;
  }
}
