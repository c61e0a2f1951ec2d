/** The state of the workspace: one medium, its objects, where we are in it and what we hold in our hand. */

import { create } from "zustand";
import type {
  Candidate,
  History,
  Job,
  Medium,
  Point,
  Project,
  PromptsOnFrame,
  SegmentObject,
  Timeline,
} from "../api/types";
import type { DecoderState } from "../decoder/client";
import type { Loop } from "../lib/contour";
import type { Edit } from "../lib/paint";
import type { View } from "../lib/view";

export type Tool = "click" | "box" | "brush" | "eraser" | "lasso" | "hand";

export interface CandidateChoice {
  readonly frame: number;
  readonly objectId: number;
  readonly list: readonly Candidate[];
  readonly chosen: number;
}

/** What the decoder in the page thinks of the pixel under the pointer. */
export interface Hover {
  readonly frame: number;
  readonly loops: readonly Loop[];
  /** Side of the logits' square grid. */
  readonly side: number;
  readonly iou: number;
  readonly label: 0 | 1;
  /** Nothing has been said of the object here yet. */
  readonly isFirst: boolean;
}

/** What a prompt gives in the page's own decoder. */
export interface Pending {
  readonly frame: number;
  readonly objectId: number;
  readonly loops: readonly Loop[];
  readonly side: number;
}

/** What a hand has changed of a mask. */
export interface Stroke {
  readonly frame: number;
  /** Null where it is for the server to say. */
  readonly objectId: number | null;
  readonly color: string;
  readonly edit: Edit;
}

export interface Range {
  readonly start: number;
  readonly stop: number;
}

export interface WorkspaceState {
  readonly medium: Medium | null;
  readonly project: Project | null;
  readonly siblings: readonly Medium[];
  readonly loadError: string | null;
  readonly objects: readonly SegmentObject[];
  readonly timeline: Timeline | null;
  readonly history: History;
  readonly prompts: { readonly frame: number; readonly byObject: PromptsOnFrame };
  readonly frame: number;
  readonly selected: number | null;
  /** The next click makes a new object, wherever it falls. */
  readonly drafting: boolean;
  readonly renaming: number | null;
  readonly tool: Tool;
  /** Diameter in source pixels. */
  readonly brushSize: number;
  /** What a plain click says; the other is Alt or the right button. */
  readonly clickAdds: boolean;
  readonly candidates: CandidateChoice | null;
  readonly hover: Hover | null;
  /** Masks as the page sees them, until the server has answered. */
  readonly pending: readonly Pending[];
  /** Those that the server has not answered, in the order in which they were made. */
  readonly strokes: readonly Stroke[];
  readonly job: Job | null;
  /** While tracking, show each frame as it comes; until the person goes elsewhere. */
  readonly following: boolean;
  readonly playing: boolean;
  readonly looping: boolean;
  readonly range: Range | null;
  readonly masksVisible: boolean;
  /** What is on the left of the split: masks as they were before they last changed, or the picture alone. Null: no split. */
  readonly compare: "before" | "picture" | null;
  /** Where the split is, 0..1 of the canvas's width. */
  readonly split: number;
  /** Null fits the picture to the canvas. */
  readonly view: View | null;
  /** Screen pixels a source pixel, as drawn last. */
  readonly scale: number;
  readonly cursor: Point | null;
  readonly saving: number;
  readonly dialog: "help" | "export" | "import" | null;
  readonly decoder: DecoderState;
  readonly localMode: boolean;
  /** The frame that the decoder in the page can answer about, and who has looked at it. */
  readonly lookedAt: { readonly frame: number; readonly localMode: boolean } | null;
}

export const INITIAL: WorkspaceState = {
  medium: null,
  project: null,
  siblings: [],
  loadError: null,
  objects: [],
  timeline: null,
  history: { can_undo: false, can_redo: false, undo: null, redo: null },
  prompts: { frame: -1, byObject: {} },
  frame: 0,
  selected: null,
  drafting: false,
  renaming: null,
  tool: "click",
  brushSize: 24,
  clickAdds: true,
  candidates: null,
  hover: null,
  pending: [],
  strokes: [],
  job: null,
  following: false,
  playing: false,
  looping: false,
  range: null,
  masksVisible: true,
  compare: null,
  split: 0.5,
  view: null,
  scale: 1,
  cursor: null,
  saving: 0,
  dialog: null,
  decoder: { state: "off", backend: null },
  lookedAt: null,
  localMode: localStorage.getItem("masklet.local") === "1",
};

export const useWorkspace = create<WorkspaceState>(() => INITIAL);
export const getState = useWorkspace.getState;
export const setState = useWorkspace.setState;

export const selectedObject = (state: WorkspaceState): SegmentObject | undefined =>
  state.objects.find((one) => one.id === state.selected);

/** Media of more than one frame have a timeline, tracking and playback. */
export const isVideo = (state: WorkspaceState): boolean => (state.medium?.num_frames ?? 1) > 1;
