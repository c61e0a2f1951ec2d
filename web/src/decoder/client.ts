/** The page's side of the model in the worker. */

import * as api from "../api/client";
import type { PromptBody } from "../api/types";
import { type Calibration, confidenceOf, stageOf } from "../lib/calibration";
import { hasGpu } from "./gpu";
import type { DecodeRequest, FromWorker, LocalMask, ToWorker } from "./protocol";

export interface DecoderState {
  readonly state: "off" | "opening" | "ready" | "failed";
  readonly backend: string | null;
}

/** Masks for a request, best first; none where the worker does not have the frame. */
export interface LocalAnswer {
  readonly side: number;
  readonly masks: readonly LocalMask[];
  readonly objectScore: number;
  readonly ms: number;
}

const EMPTY: LocalAnswer = { side: 0, masks: [], objectScore: 0, ms: 0 };

const newWorker = (): Worker =>
  new Worker(new URL("./worker.ts", import.meta.url), { type: "module", name: "decoder" });
const newGpuWorker = (): Worker =>
  new Worker(new URL("./gpuWorker.ts", import.meta.url), { type: "module", name: "decoder" });

export class DecoderClient {
  private worker: Worker | null = null;
  private closed = false;
  private readonly waiting = new Map<number, (answer: LocalAnswer) => void>();
  private readonly features = new Map<string, { resolve: () => void; reject: (error: Error) => void }>();
  private readonly ready = new Set<string>();
  private nextId = 1;
  private calibration: Calibration = {};

  constructor(private readonly onState: (state: DecoderState) => void) {}

  async open(): Promise<void> {
    this.onState({ state: "opening", backend: null });
    const [{ graphs, image_size, manifest }, isGpu] = await Promise.all([api.getGraphs(), hasGpu()]);
    this.calibration = manifest.spec.calibration ?? {};
    const message: ToWorker = {
      kind: "open",
      decodeUrl: new URL(graphs.decode, location.href).href,
      encodeUrl: new URL(graphs.encode_image, location.href).href,
      imageSize: image_size,
      tidiness: { maxHole: manifest.spec.max_hole ?? 0, maxPiece: manifest.spec.max_piece ?? 0 },
      stability: manifest.spec.stability_threshold ?? 0,
    };
    const start = (worker: Worker, onFailed: () => void) => {
      if (this.closed) return worker.terminate();
      this.worker = worker;
      worker.onmessage = ({ data }: MessageEvent<FromWorker>) => {
        if (data.kind === "failed") {
          console.info("the model in the page:", data.message);
          onFailed();
        } else this.receive(data);
      };
      worker.onerror = onFailed;
      this.send(message);
    };
    const fail = () => this.onState({ state: "failed", backend: null });
    const startWasm = () => start(newWorker(), fail);
    if (!isGpu) return startWasm();
    start(newGpuWorker(), () => {
      this.worker?.terminate();
      startWasm();
    });
  }

  isReady(key: string): boolean {
    return this.ready.has(key);
  }

  /** Give the worker the server's embedding of a frame. */
  async loadEmbedding(key: string, url: string, width: number, height: number, signal: AbortSignal): Promise<void> {
    const blob = await api.fetchBlob(url, signal);
    const bytes = await blob.arrayBuffer();
    await this.prepare(key, { kind: "embedding", key, bytes, width, height }, [bytes]);
  }

  /** Encode a frame in the worker. The bitmap is transferred and cannot be used afterwards. */
  async encode(key: string, bitmap: ImageBitmap, width: number, height: number): Promise<void> {
    await this.prepare(key, { kind: "encode", key, bitmap, width, height }, [bitmap]);
  }

  /** @param fullSize whether to compute the masks at the size of the picture, too. */
  decode(key: string, request: DecodeRequest, fullSize = false): Promise<LocalAnswer> {
    if (!this.ready.has(key)) return Promise.resolve(EMPTY);
    return new Promise((resolve) => {
      const id = this.nextId++;
      this.waiting.set(id, (answer) => {
        if (answer.side === 0) this.ready.delete(key); // the worker has forgotten this frame
        resolve(answer);
      });
      this.send({ kind: "decode", id, key, request, fullSize });
    });
  }

  /** Return the expected IoU of a mask that was decoded for a prompt, 0 to 1. */
  confidence(mask: LocalMask, prompt: PromptBody): number {
    return confidenceOf(mask.iou, this.calibration, stageOf(prompt));
  }

  close(): void {
    this.closed = true;
    this.worker?.terminate();
    for (const resolve of this.waiting.values()) resolve(EMPTY);
  }

  private prepare(key: string, message: ToWorker, transfer: Transferable[]): Promise<void> {
    return new Promise((resolve, reject) => {
      this.features.set(key, { resolve, reject });
      this.send(message, transfer);
    });
  }

  private send(message: ToWorker, transfer: Transferable[] = []): void {
    this.worker?.postMessage(message, transfer);
  }

  private receive(message: Exclude<FromWorker, { kind: "failed" }>): void {
    if (message.kind === "opened") this.onState({ state: "ready", backend: message.backend });
    else if (message.kind === "ready") {
      this.ready.add(message.key);
      this.features.get(message.key)?.resolve();
      this.features.delete(message.key);
    } else if (message.kind === "unready") {
      this.features.get(message.key)?.reject(new Error(message.message));
      this.features.delete(message.key);
    } else {
      this.waiting.get(message.id)?.(message);
      this.waiting.delete(message.id);
    }
  }
}
