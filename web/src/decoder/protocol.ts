/** What the page and the worker with the model say to each other. */

import type { Point, Rle } from "../api/types";
import type { Loop } from "../lib/contour";
import type { Tidiness } from "./tidy";

export interface DecodeRequest {
  readonly points: readonly Point[];
  readonly labels: readonly (0 | 1)[];
  readonly box: readonly [number, number, number, number] | null;
  /** Of the answers to a lone click, best first, the one that is meant. */
  readonly candidate: number | null;
  /** What was said before the last of the points came: they correct the answer to that. */
  readonly after: DecodeRequest | null;
  /** A mask that the points correct. */
  readonly onto: Rle | null;
}

export interface LocalMask {
  readonly loops: readonly Loop[];
  readonly iou: number;
  /** As the server would have made and kept it; only when asked for. */
  readonly whole: WholeMask | null;
}

export interface WholeMask {
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
      /** Several points have one answer as long as that is at least so stable. */
      readonly stability: number;
    }
  /** Use the embedding that the server has made (safetensors). */
  | {
      readonly kind: "embedding";
      readonly key: string;
      readonly bytes: ArrayBuffer;
      readonly width: number;
      readonly height: number;
    }
  /** Make the embedding here. */
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
      /** Whether the masks are wanted at the size of the picture, too. */
      readonly whole: boolean;
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
