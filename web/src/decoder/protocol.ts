/** What the page and the worker with the model say to each other. */

import type { Point } from "../api/types";
import type { Loop } from "../lib/contour";
import type { Tidiness } from "./tidy";

export interface DecodeRequest {
  readonly points: readonly Point[];
  readonly labels: readonly (0 | 1)[];
  readonly box: readonly [number, number, number, number] | null;
}

export interface LocalMask {
  readonly loops: readonly Loop[];
  readonly iou: number;
}

export type ToWorker =
  | {
      readonly kind: "open";
      readonly decodeUrl: string;
      readonly encodeUrl: string;
      readonly imageSize: number;
      readonly tidiness: Tidiness;
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
  | { readonly kind: "decode"; readonly id: number; readonly key: string; readonly request: DecodeRequest };

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
      readonly ms: number;
    };
