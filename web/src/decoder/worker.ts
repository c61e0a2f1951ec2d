/** The model in the page, off the main thread: encoder and decoder by onnxruntime-web (WASM SIMD with threads). */

import wasmUrl from "onnxruntime-web/ort-wasm-simd-threaded.wasm?url";
import { env, InferenceSession, Tensor } from "onnxruntime-web/wasm";
import type { Point } from "../api/types";
import { traceLogits } from "../lib/contour";
import { chooseMasks, toTokens } from "./prompts";
import type { FromWorker, LocalMask, ToWorker } from "./protocol";
import { readSafetensors } from "./safetensors";
import { type Tidiness, tidy } from "./tidy";

interface Features {
  readonly key: string;
  readonly width: number;
  readonly height: number;
  readonly arrays: Readonly<Record<"embedding" | "high_res_4" | "high_res_8", Tensor>>;
}

const MAX_FEATURES = 12;

let imageSize = 0;
let tidiness: Tidiness = { maxHole: 0, maxPiece: 0 };
let encodeUrl = "";
let decoder: InferenceSession | null = null;
let encoder: Promise<InferenceSession> | null = null;
/** By key, the last used last. */
const known = new Map<string, Features>();

const post = (message: FromWorker, transfer: Transferable[] = []) => self.postMessage(message, { transfer });

async function openSession(url: string): Promise<InferenceSession> {
  const response = await fetch(url, { credentials: "same-origin" });
  if (!response.ok) throw new Error(`the model could not be fetched (${response.status})`);
  return InferenceSession.create(new Uint8Array(await response.arrayBuffer()), { graphOptimizationLevel: "all" });
}

async function open(message: Extract<ToWorker, { kind: "open" }>): Promise<void> {
  imageSize = message.imageSize;
  tidiness = message.tidiness;
  encodeUrl = message.encodeUrl;
  env.wasm.wasmPaths = { wasm: wasmUrl };
  // Threads need cross-origin isolation; one core is left to the page.
  env.wasm.numThreads = self.crossOriginIsolated ? Math.max(1, Math.min(4, navigator.hardwareConcurrency - 1)) : 1;
  decoder = await openSession(message.decodeUrl);
  post({
    kind: "opened",
    backend: `WASM, ${env.wasm.numThreads === 1 ? "1 thread" : `${env.wasm.numThreads} threads`}`,
  });
}

function keep(features: Features): void {
  known.delete(features.key);
  known.set(features.key, features);
  for (const oldest of known.keys()) {
    if (known.size <= MAX_FEATURES) break;
    known.delete(oldest);
  }
}

function fromServer(message: Extract<ToWorker, { kind: "embedding" }>): void {
  const arrays = readSafetensors(message.bytes);
  const take = (...names: string[]): Tensor => {
    for (const name of names) {
      const found = arrays.get(name);
      if (found) return new Tensor("float32", found.data, [...found.shape]);
    }
    throw new Error(`the embedding lacks ${names[0]}`);
  };
  const { key, width, height } = message;
  // Without memory the decoder reads the unconditioned embedding.
  keep({
    key,
    width,
    height,
    arrays: {
      embedding: take("unconditioned", "embedding"),
      high_res_4: take("high_res_4"),
      high_res_8: take("high_res_8"),
    },
  });
}

/** (S, S, 3) bytes, averaged when the picture shrinks: as near as a canvas comes to the server's area filter. */
function toSquare(bitmap: ImageBitmap): Uint8Array {
  const canvas = new OffscreenCanvas(imageSize, imageSize);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (!context) throw new Error("no 2D canvas in this browser");
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, imageSize, imageSize);
  const rgba = context.getImageData(0, 0, imageSize, imageSize).data;
  const rgb = new Uint8Array(imageSize * imageSize * 3);
  for (let from = 0, to = 0; from < rgba.length; from += 4) {
    rgb[to++] = rgba[from];
    rgb[to++] = rgba[from + 1];
    rgb[to++] = rgba[from + 2];
  }
  return rgb;
}

async function encode(message: Extract<ToWorker, { kind: "encode" }>): Promise<void> {
  encoder ??= openSession(encodeUrl);
  const session = await encoder;
  const rgb = toSquare(message.bitmap);
  message.bitmap.close();
  const pixels = new Tensor("uint8", rgb, [1, imageSize, imageSize, 3]);
  const answer = await session.run({ pixels }, ["unconditioned", "high_res_4", "high_res_8"]);
  const { key, width, height } = message;
  keep({
    key,
    width,
    height,
    arrays: { embedding: answer.unconditioned, high_res_4: answer.high_res_4, high_res_8: answer.high_res_8 },
  });
}

async function decode({ id, key, request }: Extract<ToWorker, { kind: "decode" }>): Promise<void> {
  const features = known.get(key);
  const started = performance.now();
  if (!features || !decoder) return post({ kind: "decoded", id, side: 0, masks: [], ms: 0 });
  const { points, labels } = toTokens(request, features.width, features.height, imageSize);
  const side = imageSize / 4;
  const answer = await decoder.run({
    ...features.arrays,
    points_xy: new Tensor("float32", points, [1, labels.length, 2]),
    labels: new Tensor("int64", labels, [1, labels.length]),
    mask_logits: new Tensor("float32", new Float32Array(side * side), [1, 1, side, side]),
    has_mask: new Tensor("bool", [false], [1]),
  });
  const ious = answer.iou_predictions.data as Float32Array;
  const logits = answer.low_res_logits.data as Float32Array;
  const numTokens = request.points.length + (request.box ? 2 : 0);
  const kept = request.points
    .filter((_, i) => request.labels[i] === 1)
    .map(([x, y]): Point => [(x * side) / features.width, (y * side) / features.height]);
  const masks: LocalMask[] = chooseMasks(ious, numTokens).map((row) => {
    const shown = logits.slice(row * side * side, (row + 1) * side * side);
    tidy(shown, side, tidiness, kept);
    return { loops: traceLogits(shown, side, side), iou: ious[row] };
  });
  const transfer = masks.flatMap((mask) => mask.loops.map((loop) => loop.buffer as ArrayBuffer));
  post({ kind: "decoded", id, side, masks, ms: performance.now() - started }, transfer);
}

async function handle(message: ToWorker): Promise<void> {
  if (message.kind === "open") {
    await open(message).catch((error: unknown) => post({ kind: "failed", message: String(error) }));
  } else if (message.kind === "decode") {
    await decode(message);
  } else {
    const started = performance.now();
    try {
      if (message.kind === "embedding") fromServer(message);
      else await encode(message);
      post({ kind: "ready", key: message.key, ms: performance.now() - started });
    } catch (error) {
      post({ kind: "unready", key: message.key, message: String(error) });
    }
  }
}

// One after the other: a session answers one question at a time.
let queue: Promise<void> = Promise.resolve();
self.onmessage = (event: MessageEvent<ToWorker>) => {
  queue = queue.then(() => handle(event.data)).catch((error: unknown) => console.error(error));
};
