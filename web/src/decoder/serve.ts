/** The model in the page, off the main thread: encoder and decoder by onnxruntime-web, in whichever of its forms. */

import type { InferenceSession, Tensor } from "onnxruntime-web/wasm";
import type { Point } from "../api/types";
import { traceLogits } from "../lib/contour";
import { logitsOf, upsampled } from "../lib/upsample";
import { chooseMasks, toTokens } from "./prompts";
import type { DecodeRequest, FromWorker, LocalMask, ToWorker } from "./protocol";
import { readSafetensors } from "./safetensors";
import { type Tidiness, tidy } from "./tidy";

/** What runs the graphs. */
export interface Runtime {
  readonly ort: Pick<typeof import("onnxruntime-web/wasm"), "env" | "InferenceSession" | "Tensor">;
  readonly wasmUrl: string;
  readonly provider: "wasm" | "webgpu";
}

let runtime: Runtime;

interface Features {
  readonly key: string;
  readonly width: number;
  readonly height: number;
  readonly arrays: Readonly<Record<"embedding" | "high_res_4" | "high_res_8", Tensor>>;
  readonly answers: Map<string, Answer>;
}

const MAX_FEATURES = 12;

let imageSize = 0;
let tidiness: Tidiness = { maxHole: 0, maxPiece: 0 };
let stability = 0;
let encodeUrl = "";
let decoder: InferenceSession | null = null;
let encoder: Promise<InferenceSession> | null = null;
/** By key, the last used last. */
const known = new Map<string, Features>();

const post = (message: FromWorker, transfer: Transferable[] = []) => self.postMessage(message, { transfer });

async function openSession(url: string): Promise<InferenceSession> {
  const response = await fetch(url, { credentials: "same-origin" });
  if (!response.ok) throw new Error(`the model could not be fetched (${response.status})`);
  return runtime.ort.InferenceSession.create(new Uint8Array(await response.arrayBuffer()), {
    graphOptimizationLevel: "all",
    executionProviders: [runtime.provider],
  });
}

/** Of a decode by a GPU; slower than this WASM is the better choice. */
const MAX_GPU_MS = 50;

/** Run the decoder on nothing until it has been compiled, and see how long it takes then. */
async function warmUp(session: InferenceSession, turns: number): Promise<number> {
  const nothing: Record<string, Tensor> = {};
  for (const input of session.inputMetadata) {
    if (!input.isTensor) continue;
    const dims = input.shape.map((size) => (typeof size === "number" ? size : 1));
    const count = dims.reduce((product, size) => product * size, 1);
    nothing[input.name] =
      input.type === "int64"
        ? new runtime.ort.Tensor("int64", new BigInt64Array(count).fill(-1n), dims)
        : input.type === "bool"
          ? new runtime.ort.Tensor("bool", new Uint8Array(count), dims)
          : new runtime.ort.Tensor("float32", new Float32Array(count), dims);
  }
  let ms = 0;
  for (let turn = 0; turn < turns; turn++) {
    const started = performance.now();
    await session.run(nothing);
    ms = performance.now() - started;
  }
  return ms;
}

async function open(message: Extract<ToWorker, { kind: "open" }>): Promise<void> {
  imageSize = message.imageSize;
  tidiness = message.tidiness;
  stability = message.stability;
  encodeUrl = message.encodeUrl;
  const { env } = runtime.ort;
  env.wasm.wasmPaths = { wasm: runtime.wasmUrl };
  const isGpu = runtime.provider === "webgpu";
  // Threads need cross-origin isolation; one core is left to the page.
  const threads = self.crossOriginIsolated ? Math.max(1, Math.min(4, navigator.hardwareConcurrency - 1)) : 1;
  env.wasm.numThreads = isGpu ? 1 : threads;
  decoder = await openSession(message.decodeUrl);
  if (isGpu) {
    const ms = await warmUp(decoder, 3);
    if (ms > MAX_GPU_MS) throw new Error(`the GPU takes ${Math.round(ms)} ms for a mask`);
  }
  post({ kind: "opened", backend: isGpu ? "WebGPU" : `WASM, ${threads === 1 ? "1 thread" : `${threads} threads`}` });
  // While the embedding is fetched: the first run of a graph takes longer than those after it. It is no matter if it fails.
  if (!isGpu) await warmUp(decoder, 1).catch(() => 0);
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
      if (found) return new runtime.ort.Tensor("float32", found.data, [...found.shape]);
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
    answers: new Map(),
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
  const pixels = new runtime.ort.Tensor("uint8", rgb, [1, imageSize, imageSize, 3]);
  const answer = await session.run({ pixels }, ["unconditioned", "high_res_4", "high_res_8"]);
  const { key, width, height } = message;
  keep({
    key,
    width,
    height,
    arrays: { embedding: answer.unconditioned, high_res_4: answer.high_res_4, high_res_8: answer.high_res_8 },
    answers: new Map(),
  });
}

/** What the decoder says, all four masks. */
interface Answer {
  readonly logits: Float32Array;
  readonly ious: Float32Array;
  readonly objectScore: number;
  /** Of the four, those that count, best first. */
  readonly rows: readonly number[];
}

/** Earlier answers of one frame, the newest last: what the next click corrects. */
const MAX_ANSWERS = 24;

async function answerTo(features: Features, session: InferenceSession, request: DecodeRequest): Promise<Answer> {
  const name = JSON.stringify([request.points, request.labels, request.box, request.after, request.onto]);
  const known = features.answers.get(name);
  if (known) return known;
  const side = imageSize / 4;
  let fedBack = request.onto && logitsOf(request.onto, side);
  if (request.after) fedBack = chosenLogits(await answerTo(features, session, request.after), request.after);
  const { points, labels } = toTokens(request, features.width, features.height, imageSize);
  const answer = await session.run({
    ...features.arrays,
    points_xy: new runtime.ort.Tensor("float32", points, [1, labels.length, 2]),
    labels: new runtime.ort.Tensor("int64", labels, [1, labels.length]),
    mask_logits: new runtime.ort.Tensor("float32", fedBack ?? new Float32Array(side * side), [1, 1, side, side]),
    has_mask: new runtime.ort.Tensor("bool", [fedBack !== null], [1]),
  });
  const ious = answer.iou_predictions.data as Float32Array;
  const isStable = Number(answer.stability.data[0]) >= stability;
  const numTokens = request.points.length + (request.box ? 2 : 0);
  const found: Answer = {
    logits: answer.low_res_logits.data as Float32Array,
    ious,
    objectScore: Number(answer.object_score.data[0]),
    rows: chooseMasks(ious, numTokens, isStable),
  };
  features.answers.set(name, found);
  for (const oldest of features.answers.keys()) {
    if (features.answers.size <= MAX_ANSWERS) break;
    features.answers.delete(oldest);
  }
  return found;
}

const gridOf = ({ logits }: Answer, row: number): Float32Array<ArrayBuffer> => {
  const area = (imageSize / 4) ** 2;
  return Float32Array.from(logits.subarray(row * area, (row + 1) * area));
};

/** As the server keeps them: within what half precision holds well. */
function chosenLogits(answer: Answer, { candidate }: DecodeRequest): Float32Array<ArrayBuffer> {
  const row = answer.rows[candidate ?? 0] ?? answer.rows[0];
  return gridOf(answer, row).map((value) => Math.min(32, Math.max(-32, value)));
}

function base64(values: Float32Array): string {
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  let text = "";
  for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
  return btoa(text);
}

async function decode({ id, key, request, whole }: Extract<ToWorker, { kind: "decode" }>): Promise<void> {
  const features = known.get(key);
  const started = performance.now();
  if (!features || !decoder) return post({ kind: "decoded", id, side: 0, masks: [], objectScore: 0, ms: 0 });
  const { width, height } = features;
  const answer = await answerTo(features, decoder, request);
  const side = imageSize / 4;
  const kept = request.points
    .filter((_, i) => request.labels[i] === 1)
    .map(([x, y]): Point => [(x * side) / width, (y * side) / height]);
  const masks: LocalMask[] = answer.rows.map((row, place) => {
    const shown = gridOf(answer, row);
    tidy(shown, side, tidiness, kept);
    const loops = traceLogits(shown, side, side);
    const logits = whole ? base64(chosenLogits(answer, { ...request, candidate: place })) : "";
    return { loops, iou: answer.ious[row], whole: whole ? { ...upsampled(shown, side, width, height), logits } : null };
  });
  const transfer = masks.flatMap((mask) => mask.loops.map((loop) => loop.buffer as ArrayBuffer));
  const { objectScore } = answer;
  post({ kind: "decoded", id, side, masks, objectScore, ms: performance.now() - started }, transfer);
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

/** Answer the page from here on. */
export function serve(own: Runtime): void {
  runtime = own;
  // One after the other: a session answers one question at a time.
  let queue: Promise<void> = Promise.resolve();
  self.onmessage = (event: MessageEvent<ToWorker>) => {
    queue = queue.then(() => handle(event.data)).catch((error: unknown) => console.error(error));
  };
}
