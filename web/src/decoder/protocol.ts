/** Messages between the page and the worker that runs the model. */

import type { PromptBody, Rle } from "../api/types";
import type { Loop } from "../lib/contour";
import type { Tidiness } from "./tidy";

/** A prompt, and what its last points correct. `candidate` selects one of the answers to a single click. */
export interface DecodeRequest extends PromptBody {
  /** The request before the last points were added: they correct its answer. */
  readonly previous: DecodeRequest | null;
  /** The mask that the points correct, instead of an answer. */
  readonly mask: Rle | null;
}

export interface LocalMask {
  readonly loops: readonly Loop[];
  readonly iou: number;
  /** The mask as the server would compute and keep it; only when requested. */
  readonly fullSize: FullSizeMask | null;
}

interface FullSizeMask {
  readonly rle: Rle;
  readonly area: number;
  /** Low-res logits, little-endian float32, base64. */
  readonly logits: string;
}

export type ToWorker =
  | {
      readonly kind: "open";
      readonly decodeUrl: string;
      readonly encodeUrl: string;
      readonly imageSize: number;
      readonly tidiness: Tidiness;
      /** Several points have a single answer while its stability is at least this. */
      readonly stability: number;
    }
  /** Use an embedding from the server (safetensors). */
  | {
      readonly kind: "embedding";
      readonly key: string;
      readonly bytes: ArrayBuffer;
      readonly width: number;
      readonly height: number;
    }
  /** Encode an image in the worker. */
  | {
      readonly kind: "encode";
      readonly key: string;
      readonly bitmap: ImageBitmap;
      readonly width: number;
      readonly height: number;
    }
  | {
      readonly kind: "decode";
      readonly id: number;
      readonly key: string;
      readonly request: DecodeRequest;
      /** Whether to compute the masks at the size of the picture, too. */
      readonly fullSize: boolean;
    };

export type FromWorker =
  | { readonly kind: "opened"; readonly backend: string }
  | { readonly kind: "failed"; readonly message: string }
  | { readonly kind: "ready"; readonly key: string; readonly ms: number }
  | { readonly kind: "unready"; readonly key: string; readonly message: string }
  | {
      readonly kind: "decoded";
      readonly id: number;
      readonly side: number;
      /** Best first. */
      readonly masks: readonly LocalMask[];
      readonly objectScore: number;
      readonly ms: number;
    };
