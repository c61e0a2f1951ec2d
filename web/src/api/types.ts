/** The wire's records, as the server's OpenAPI document has them. Coordinates are source pixels, frames count from 0. */

export type Point = readonly [x: number, y: number];
export type Box = readonly [x0: number, y0: number, x1: number, y1: number];

/** A mask as COCO's compressed run lengths. */
export interface Rle {
  readonly size: readonly [height: number, width: number];
  readonly counts: string;
}

export interface AppInfo {
  readonly user: { readonly name: string } | null;
  readonly needs_login: boolean;
  readonly version: string;
  readonly model: {
    readonly name: string;
    readonly backend: string;
    readonly image_size: number;
    readonly has_graphs: boolean;
  };
  readonly models: readonly string[];
  /** For objects. */
  readonly colors: readonly string[];
  readonly limits: {
    readonly max_bytes: number;
    readonly max_pixels: number;
    readonly max_frames: number;
    readonly max_seconds: number;
  };
}

export interface Project {
  readonly id: string;
  readonly name: string;
  readonly created_at: string;
  readonly updated_at: string;
  readonly num_media: number;
  readonly thumbnail_url: string | null;
  readonly classes: readonly string[];
}

export interface Medium {
  readonly id: string;
  readonly project_id: string;
  readonly kind: "image" | "video";
  readonly name: string;
  readonly width: number;
  readonly height: number;
  readonly num_frames: number;
  readonly fps: number;
  readonly duration_s: number;
  readonly has_audio: boolean;
  readonly created_at: string;
  readonly updated_at: string;
  readonly thumbnail_url: string;
  readonly num_objects: number;
  readonly revision: number;
}

export interface UploadReport {
  readonly media: readonly Medium[];
  readonly rejected: readonly { readonly name: string; readonly message: string }[];
}

export interface SegmentObject {
  readonly id: number;
  readonly name: string;
  readonly class_name: string;
  readonly color: string;
  readonly locked: boolean;
  readonly hidden: boolean;
  readonly prompted_frames: readonly number[];
}
export type ObjectFields = Partial<Pick<SegmentObject, "name" | "class_name" | "color" | "locked" | "hidden">>;

export type Status = "present" | "uncertain" | "occluded" | "lost";

export interface ObjectMask {
  readonly object_id: number;
  readonly rle: Rle;
  readonly box: Box | null;
  readonly area: number;
  readonly status: Status;
  readonly iou_prediction: number;
  readonly object_score: number;
  readonly confidence: number;
  readonly prompted: boolean;
  readonly accepted: boolean;
  readonly review: boolean;
}

export interface FrameMasks {
  readonly frame_index: number;
  readonly time_s: number;
  readonly accepted: boolean;
  readonly objects: readonly ObjectMask[];
}

export interface PromptBody {
  readonly points: readonly Point[];
  readonly labels: readonly (0 | 1)[];
  readonly box: Box | null;
  readonly candidate: number | null;
}

/** What the page's own decoder has answered: the server keeps it and need not ask its model. */
export interface GivenAnswer {
  readonly rle: Rle;
  readonly iou_prediction: number;
  readonly object_score: number;
  readonly logits: string;
}

export interface Candidate {
  readonly rle: Rle;
  readonly iou_prediction: number;
}

export interface PromptAnswer {
  readonly frame: FrameMasks;
  readonly candidates: readonly Candidate[];
  readonly revision: number;
}

export type PromptsOnFrame = Readonly<Record<string, PromptBody & { readonly has_mask: boolean }>>;

export interface TimelineObject {
  readonly object_id: number;
  /** One letter a frame: `.` none, `p` present, `u` uncertain, `o` occluded, `l` lost. */
  readonly status: string;
  /** 0..100, or -1 where there is none. */
  readonly iou: readonly number[];
  readonly prompted: readonly number[];
  readonly stale: readonly (readonly [start: number, stop: number])[];
}

export interface Timeline {
  readonly num_frames: number;
  readonly revision: number;
  readonly accepted: readonly (readonly [start: number, stop: number])[];
  readonly objects: readonly TimelineObject[];
  readonly review: readonly number[];
}

export interface Suggestion {
  readonly frame_index: number;
  readonly object_id: number;
  readonly reason: string;
  readonly score: number;
}

export interface History {
  readonly can_undo: boolean;
  readonly can_redo: boolean;
  readonly undo: string | null;
  readonly redo: string | null;
}

export interface HistoryStep extends History {
  /** Null: there was nothing to undo or redo. */
  readonly what: string | null;
  readonly frame_index: number | null;
  readonly object_id: number | null;
  readonly revision: number;
}

export interface ImportReport {
  readonly objects: readonly SegmentObject[];
  readonly num_masks: number;
  readonly skipped: readonly string[];
  readonly revision: number;
}

export interface Graphs {
  readonly model: string;
  readonly image_size: number;
  readonly low_res_size: number;
  readonly graphs: { readonly encode_image: string; readonly decode: string };
  readonly manifest: {
    readonly spec: { readonly max_hole?: number; readonly max_piece?: number; readonly stability_threshold?: number };
  };
}

export type JobState = "queued" | "running" | "done" | "failed" | "cancelled";

export interface Job {
  readonly id: string;
  readonly kind: "track" | "export" | "render" | "everything";
  readonly media_id: string | null;
  readonly state: JobState;
  readonly done: number;
  readonly total: number | null;
  readonly fps: number | null;
  readonly eta_s: number | null;
  readonly message: string | null;
  /** The server ended before the job did. */
  readonly interrupted: boolean;
  readonly result: { readonly url: string; readonly name: string; readonly bytes: number } | null;
}

export type Direction = "forward" | "backward" | "both";

export interface TrackRequest {
  readonly direction: Direction;
  readonly start: number | null;
  readonly stop: number | null;
  readonly objects: readonly number[] | null;
  readonly only_changed: boolean;
  readonly only_missing: boolean;
}

/** The part of JSON schema that options of formats and effects use. */
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
  readonly items?: OptionSchema;
  readonly properties?: Readonly<Record<string, OptionSchema>>;
  readonly required?: readonly string[];
}

export interface Format {
  readonly id: string;
  readonly name: string;
  readonly description: string;
  readonly for: readonly ("image" | "video")[];
  readonly options: OptionSchema;
}

export interface Effect {
  readonly id: string;
  readonly name: string;
  readonly target: "object" | "background";
  readonly options: OptionSchema;
}

/** A kind of file that a render can become. */
export interface Container {
  readonly id: string;
  readonly name: string;
  readonly description: string;
  readonly has_alpha: boolean;
}

export interface FormatCatalogue {
  readonly formats: readonly Format[];
  readonly effects: readonly Effect[];
  readonly containers: readonly Container[];
}

export type Options = Readonly<Record<string, unknown>>;

export interface ExportRequest {
  readonly format: string;
  readonly options: Options;
  readonly objects: readonly number[] | null;
  readonly only_accepted: boolean;
}

export type EffectUse = { readonly effect: string } & Options;

export interface Composition {
  readonly background: EffectUse;
  readonly objects: Readonly<Record<string, readonly EffectUse[]>>;
  readonly cutout: readonly number[] | null;
  /** How edges become soft: refine, feather, decontaminate. */
  readonly edges: Options;
}

export interface RenderRequest {
  readonly composition: Composition;
  readonly container: string;
  readonly start: number | null;
  readonly stop: number | null;
}
