/** Short names for the server's records, which `schema.ts` has. Coordinates are source pixels, frames count from 0. */

import type { components } from "./schema";

type Schemas = components["schemas"];

type Frozen<T> = T extends object ? { readonly [Key in keyof T]: Frozen<T[Key]> } : T;
/** A record of the API, read-only throughout. */
type Wire<Name extends keyof Schemas> = Frozen<Schemas[Name]>;

// Server, projects, media.

export type ErrorAnswer = Wire<"ErrorAnswer">;
export type ServerInfo = Wire<"ServerInfo">;
export type Project = Wire<"ProjectInfo">;
export type ObjectClass = Wire<"ClassInfo">;
export type ClassList = Wire<"ClassList">;
export type ClassFields = Partial<Wire<"ClassChange">>;
export type Medium = Wire<"MediumInfo">;
export type MediumState = Medium["progress"]["state"];
export type MediumList = Wire<"MediumList">;
export type Neighbours = Wire<"Neighbours">;
export type ClassCount = Wire<"ClassCount">;
export type UploadReport = Wire<"UploadReport">;
export type BulkAnswer = Wire<"BulkAnswer">;

export type MediumSort = "added" | "-added" | "name" | "-changed" | "state" | "-objects";

/** What a list of media has, in which order, and which part of it is asked for. */
export type MediaQuery = {
  readonly search?: string;
  readonly state?: readonly MediumState[];
  readonly kind?: Medium["kind"] | null;
  /** "" finds objects without a class. */
  readonly class?: string | null;
  readonly trash?: boolean;
  readonly sort?: MediumSort;
  readonly offset?: number;
  readonly limit?: number;
};

// Objects and masks.

export type SegmentObject = Wire<"SegmentObject">;
export type ObjectFields = Partial<Pick<SegmentObject, "name" | "class_name" | "color" | "locked" | "hidden">>;
export type Rle = Wire<"Rle">;
export type ObjectMask = Wire<"ObjectMask">;
export type Status = ObjectMask["status"];
export type FrameMasks = Wire<"FrameMasksInfo">;
export type FrameMasksList = Wire<"FrameMasksList">;
export type FrameAnswer = Wire<"FrameAnswer">;

// Prompts.

type PromptInfo = Wire<"PromptInfo">;
export type PromptBody = Omit<PromptInfo, "has_mask">;
export type PromptsOnFrame = Wire<"FramePrompts">["prompts"];
export type Point = PromptInfo["points"][number];
export type Box = NonNullable<PromptInfo["box"]>;
export type LocalDecode = Wire<"LocalDecode">;
export type Candidate = Pick<Wire<"CandidateMask">, "rle" | "confidence">;
export type PromptAnswer = Wire<"PromptAnswer">;

// Proposals.

export type Proposal = Wire<"Proposal">;
export type ProposalList = Wire<"ProposalList">;
export type ProposalsAnswer = Wire<"ProposalsAnswer">;

// Timeline, review, history.

export type Timeline = Wire<"Timeline">;
export type TimelineObject = Wire<"TimelineObject">;
export type AcceptRequest = Wire<"AcceptRequest">;
export type AcceptAnswer = Wire<"AcceptAnswer">;
export type Suggestion = Wire<"SuggestionInfo">;
export type CountRequest = Wire<"CountRequest">;
export type CountAnswer = Wire<"CountAnswer">;
export type CountInfo = Wire<"CountInfo">;
export type Crossing = Wire<"CrossingInfo">;
export type History = Wire<"History">;
export type HistoryAnswer = Wire<"HistoryAnswer">;

// Jobs.

export type Job = Wire<"JobInfo">;
export type JobState = Job["state"];
export type TrackRequest = Wire<"TrackRequest">;
export type DiscoverRequest = Wire<"DiscoverRequest">;
export type Direction = TrackRequest["direction"];

// Results. The API describes options by JSON schemas, and takes what these allow.

/** The part of JSON Schema that options of formats and effects use. */
export interface OptionSchema {
  readonly type?: string | readonly string[];
  readonly title?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly enum?: readonly (string | number)[];
  readonly const?: unknown;
  readonly format?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly multipleOf?: number;
  readonly anyOf?: readonly OptionSchema[];
  /** A name for each value of `enum`. */
  readonly "x-names"?: Readonly<Record<string, string>>;
  /** Values of other options without which this one does nothing. */
  readonly "x-only-if"?: Readonly<Record<string, readonly string[]>>;
  /** The kind of medium for which the option matters. */
  readonly "x-only-for"?: Medium["kind"];
  readonly properties?: Readonly<Record<string, OptionSchema>>;
}

export type Options = Readonly<Record<string, unknown>>;
export type Format = Wire<"FormatInfo">;
export type Effect = Wire<"EffectInfo">;
export type FormatCatalogue = Wire<"FormatCatalogue">;
export type ExportRequest = Wire<"ExportRequest">;
/** What an import does with an object whose number the medium has already. */
export type ImportMode = "add" | "merge" | "replace";
export type ImportReport = Wire<"ImportReport">;
export type Asset = Wire<"AssetInfo">;

export type EffectUse = { readonly effect: string } & Options;

/** Effects of a picture or video, as `masklet.render.Composition.from_dict` reads them. */
export type Composition = {
  readonly background: EffectUse;
  readonly objects: Readonly<Record<string, readonly EffectUse[]>>;
  readonly cutout: readonly number[] | null;
  readonly edges: Options;
};
export type RenderRequest = Wire<"RenderRequest"> & { readonly composition: Composition };

// The model in the page.

/** `manifest` is model.json of the exported folder, here with the part that the page's decoder needs. */
export type Graphs = Wire<"Graphs"> & {
  readonly manifest: {
    readonly spec: {
      readonly max_hole?: number;
      readonly max_piece?: number;
      readonly stability_threshold?: number;
      readonly calibration?: Readonly<
        Record<string, { readonly inputs: readonly number[]; readonly outputs: readonly number[] }>
      >;
    };
  };
};
