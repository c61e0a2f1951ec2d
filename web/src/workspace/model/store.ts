/** State of the workspace: one medium, its objects, the frame that is shown, and the tool in use. Only this folder changes it. */

import { create } from "zustand";
import type {
  Candidate,
  DiscoverRequest,
  History,
  Job,
  Medium,
  Neighbours,
  Point,
  Project,
  PromptsOnFrame,
  Proposal,
  SegmentObject,
  Timeline,
} from "../../api/types";
import type { DecoderState } from "../../decoder/client";
import type { Loop } from "../../lib/contour";
import type { Edit } from "../../lib/paint";
import { offered, type ProposalFilter } from "../../lib/proposals";
import { fit, MARGINS, type Size, type View } from "../../lib/view";
import { type Counting, NO_COUNTING } from "./countingState";

export type Tool = "click" | "box" | "brush" | "eraser" | "lasso" | "hand";
export type Comparison = "before" | "picture";
export type DialogName = "help" | "export" | "import";

interface CandidateChoice {
  readonly frame: number;
  readonly objectId: number;
  readonly list: readonly Candidate[];
  readonly chosen: number;
}

/** Preview of the mask that a click at the pointer would give, by the decoder in the page. */
interface Hover {
  readonly frame: number;
  readonly loops: readonly Loop[];
  /** Side of the logits' square grid. */
  readonly side: number;
  readonly iou: number;
  readonly label: 0 | 1;
  /** The click would start a new object. */
  readonly isFirst: boolean;
}

/** Mask of a prompt by the decoder in the page, shown until the server has answered. */
export interface PendingMask {
  readonly frame: number;
  readonly objectId: number;
  readonly loops: readonly Loop[];
  /** Side of the logits' square grid. */
  readonly side: number;
}

/** A stroke of brush, eraser or lasso that the server has not answered yet. */
export interface Stroke {
  readonly frame: number;
  /** Null until the server says which object is changed. */
  readonly objectId: number | null;
  readonly color: string;
  readonly edit: Edit;
}

/** Proposals for a frame, while a user decides about them. */
export interface ProposalReview {
  readonly jobId: string;
  readonly frame: number;
  readonly list: readonly Proposal[];
  readonly filter: ProposalFilter;
  /** The objects made of proposals, by the proposal's number; null until the server has answered. */
  readonly accepted: ReadonlyMap<number, number | null>;
  readonly refused: ReadonlySet<number>;
  /** Those that are accepted next, if any: Ctrl and a click marks one. */
  readonly marked: ReadonlySet<number>;
  /** The proposal under the pointer, or the one that the keys are for. */
  readonly highlighted: number | null;
}

/** How objects are found throughout the video. */
/** The server accepts no more, of frames from one search to the next and of objects at a time. */
export const MOST_FRAMES_BETWEEN = 1000;
export const MOST_OBJECTS = 500;

export type DiscoveryOptions = Pick<DiscoverRequest, "level" | "every" | "max_objects" | "min_score">;

/** Frames [start, stop). */
export interface Range {
  readonly start: number;
  readonly stop: number;
}

export interface WorkspaceState {
  readonly medium: Medium | null;
  readonly project: Project | null;
  /** All media of the project, this one included. */
  /** The media before and after this one in the project. */
  readonly neighbours: Neighbours | null;
  readonly loadError: string | null;
  readonly objects: readonly SegmentObject[];
  readonly timeline: Timeline | null;
  readonly history: History;
  /** Prompts of `prompts.frame`, which may not be the shown frame yet. */
  readonly prompts: { readonly frame: number; readonly byObject: PromptsOnFrame };
  readonly frame: number;
  /** The object that the next click changes. */
  readonly selected: number | null;
  /** Further selected objects: classes, deletion and the like are for all of them. */
  readonly others: readonly number[];
  /** Class of the next new object: the last one used. */
  readonly nextClass: string;
  /** The next click makes a new object, wherever it falls. */
  readonly drafting: boolean;
  /** The object whose name is being edited. */
  readonly renaming: number | null;
  readonly tool: Tool;
  /** Diameter in source pixels. */
  readonly brushSize: number;
  /** True if a plain click adds to the mask; Alt or the right button does the other. */
  readonly clickAdds: boolean;
  readonly candidates: CandidateChoice | null;
  readonly proposals: ProposalReview | null;
  readonly discoveryOptions: DiscoveryOptions;
  /** What the last search through the video has found, and what a stop has left of it; null where nothing is left. */
  readonly discoveryResult: { readonly text: string; readonly rest: DiscoverRequest | null } | null;
  readonly hover: Hover | null;
  readonly pendingMasks: readonly PendingMask[];
  /** In the order in which they were drawn. */
  readonly strokes: readonly Stroke[];
  readonly job: Job | null;
  /** While tracking, show each frame as it comes, until the user goes to another frame. */
  readonly following: boolean;
  readonly playing: boolean;
  readonly looping: boolean;
  readonly range: Range | null;
  readonly masksVisible: boolean;
  /** Names and classes of objects are written on the picture. */
  readonly namesVisible: boolean;
  /** Left side of the split: masks before their last change, or the picture alone. Null: no split. */
  readonly compare: Comparison | null;
  /** Position of the split, 0..1 of the canvas's width. */
  readonly split: number;
  /** Null fits the picture to the canvas. */
  readonly view: View | null;
  /** CSS pixels. */
  readonly canvasSize: Size;
  /** Pointer moved by the arrow keys, source pixels; null where the mouse points. */
  readonly cursor: Point | null;
  /** Number of changes that the server has not answered. */
  readonly saving: number;
  readonly dialog: DialogName | null;
  readonly counting: Counting;
  readonly decoder: DecoderState;
  /** The page encodes the images itself, and the server only keeps the results. */
  readonly localMode: boolean;
  /** The frame whose embedding the decoder in the page has, and in which mode it was made. */
  readonly embedded: { readonly frame: number; readonly localMode: boolean } | null;
}

export const INITIAL: WorkspaceState = {
  medium: null,
  project: null,
  neighbours: null,
  loadError: null,
  objects: [],
  timeline: null,
  history: { can_undo: false, can_redo: false, undo: null, redo: null },
  prompts: { frame: -1, byObject: {} },
  frame: 0,
  selected: null,
  others: [],
  nextClass: "",
  drafting: false,
  renaming: null,
  tool: "click",
  brushSize: 24,
  clickAdds: true,
  candidates: null,
  proposals: null,
  discoveryOptions: { level: "objects", every: 10, max_objects: 64, min_score: 0.5 },
  discoveryResult: null,
  hover: null,
  pendingMasks: [],
  strokes: [],
  job: null,
  following: false,
  playing: false,
  looping: false,
  range: null,
  masksVisible: true,
  namesVisible: localStorage.getItem("masklet.names") === "1",
  compare: null,
  split: 0.5,
  view: null,
  canvasSize: { width: 1, height: 1 },
  cursor: null,
  saving: 0,
  dialog: null,
  counting: NO_COUNTING,
  decoder: { state: "off", backend: null },
  embedded: null,
  localMode: localStorage.getItem("masklet.local") === "1",
};

export const useWorkspace = create<WorkspaceState>(() => INITIAL);
export const getState = useWorkspace.getState;
export const setState = useWorkspace.setState;

export const selectedObject = (state: WorkspaceState): SegmentObject | undefined =>
  state.objects.find((object) => object.id === state.selected);

/** Return all selected objects, in the order of the list. */
export const selectedObjects = ({ objects, selected, others }: WorkspaceState): readonly SegmentObject[] =>
  objects.filter((object) => object.id === selected || others.includes(object.id));

/** Return the colour of a class; undefined for one that the project does not list. */
export const classColor = ({ project }: WorkspaceState, name: string): string | undefined =>
  project?.classes.find((entry) => entry.name === name)?.color;

/** Return the proposals that a user is still asked about. One whose object was undone is offered again. */
export function offeredProposals({ proposals, medium, objects }: WorkspaceState): readonly Proposal[] {
  if (!proposals || !medium) return [];
  const { list, filter, refused, accepted } = proposals;
  const isAccepted = (number: number) => {
    const id = accepted.get(number);
    return id === null || objects.some((object) => object.id === id);
  };
  return offered(list, filter, medium.width * medium.height, refused, isAccepted);
}

/** Return the proposals that are accepted together: the marked ones, or all where none is marked. */
export function chosenProposals(state: WorkspaceState): readonly Proposal[] {
  const offered = offeredProposals(state);
  const marked = offered.filter(({ number }) => state.proposals?.marked.has(number));
  return marked.length ? marked : offered;
}

/** A new object has the number of one that was undone: the proposal that became the old one is not accepted any more. */
export function withoutAccepted(proposals: ProposalReview | null, ids: readonly number[]): ProposalReview | null {
  if (!proposals) return null;
  const accepted = new Map([...proposals.accepted].filter(([, id]) => id === null || !ids.includes(id)));
  return { ...proposals, accepted };
}

/** Return whether the proposals that are open belong to the shown frame. */
export const areProposalsShown = ({ proposals, frame, compare }: WorkspaceState): boolean =>
  proposals?.frame === frame && !compare;

/** Return whether the medium has more than one frame: then it has a timeline, tracking and playback. */
export const isVideo = (state: WorkspaceState): boolean => (state.medium?.num_frames ?? 1) > 1;

const fittedView = ({ medium, canvasSize }: WorkspaceState): View =>
  fit(medium ?? { width: 1, height: 1 }, canvasSize, MARGINS);

/** Return the position and scale of the picture on the canvas. */
export const viewOf = (state: WorkspaceState): View => state.view ?? fittedView(state);

export const scaleOf = (state: WorkspaceState): number => viewOf(state).scale;

/** Return the smallest scale that zooming out can reach. */
export const smallestScale = (state: WorkspaceState): number => Math.min(fittedView(state).scale, 1) / 4;
