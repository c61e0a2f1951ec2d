/** The model in the page, off the main thread: encoder and decoder, run by onnxruntime-web on WASM or WebGPU. */

import type { InferenceSession, Tensor } from "onnxruntime-web/wasm";
import type { Point } from "../api/types";
import { traceLogits } from "../lib/contour";
import { logitsOf, upsampled } from "../lib/upsample";
import { chooseMasks, clicksOf, toTokens } from "./prompts";
import type { DecodeRequest, FromWorker, LocalMask, ToWorker } from "./protocol";
import { readSafetensors } from "./safetensors";
import { type Tidiness, tidy } from "./tidy";

/** Runs the graphs. */
interface Runtime {
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
/** Frames by key, the most recently used last. */
const frames = new Map<string, Features>();

const post = (message: FromWorker, transfer: Transferable[] = []) => self.postMessage(message, { transfer });

async function openSession(url: string): Promise<InferenceSession> {
  const response = await fetch(url, { credentials: "same-origin" });
  if (!response.ok) throw new Error(`the model could not be fetched (${response.status})`);
  return runtime.ort.InferenceSession.create(new Uint8Array(await response.arrayBuffer()), {
    graphOptimizationLevel: "all",
    executionProviders: [runtime.provider],
  });
}

/** Time of one decode on a GPU above which WASM is the better choice. */
const MAX_GPU_MS = 50;

/** Run the decoder on zeros until it is compiled; returns the time of the last run. */
async function warmUp(session: InferenceSession, turns: number): Promise<number> {
  const zeros: Record<string, Tensor> = {};
  for (const input of session.inputMetadata) {
    if (!input.isTensor) continue;
    const dims = input.shape.map((size) => (typeof size === "number" ? size : 1));
    const count = dims.reduce((product, size) => product * size, 1);
    zeros[input.name] =
      input.type === "int64"
        ? new runtime.ort.Tensor("int64", new BigInt64Array(count).fill(-1n), dims)
        : input.type === "bool"
          ? new runtime.ort.Tensor("bool", new Uint8Array(count), dims)
          : new runtime.ort.Tensor("float32", new Float32Array(count), dims);
  }
  let ms = 0;
  for (let turn = 0; turn < turns; turn++) {
    const started = performance.now();
    await session.run(zeros);
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
  // While the embedding is being fetched: the first run of a graph is slow. A failure here does not matter.
  if (!isGpu) await warmUp(decoder, 1).catch(() => 0);
}

function keep(features: Features): void {
  frames.delete(features.key);
  frames.set(features.key, features);
  for (const oldest of frames.keys()) {
    if (frames.size <= MAX_FEATURES) break;
    frames.delete(oldest);
  }
}

function fromServer(message: Extract<ToWorker, { kind: "embedding" }>): void {
  const arrays = readSafetensors(message.bytes);
  const take = (...names: string[]): Tensor => {
    for (const name of names) {
      const array = arrays.get(name);
      if (array) return new runtime.ort.Tensor("float32", array.data, [...array.shape]);
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

/** Return (S, S, 3) bytes, averaged when the picture shrinks: as close as a canvas gets to the server's area filter. */
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

/** The decoder's output: all four masks. */
interface Answer {
  readonly logits: Float32Array;
  readonly ious: Float32Array;
  readonly objectScore: number;
  /** The chosen masks, best first. */
  readonly rows: readonly number[];
}

/** Number of earlier answers kept per frame, for the next click to correct. */
const MAX_ANSWERS = 24;

async function answerTo(features: Features, session: InferenceSession, request: DecodeRequest): Promise<Answer> {
  const key = JSON.stringify({ ...request, candidate: null });
  const cached = features.answers.get(key);
  if (cached) return cached;
  const side = imageSize / 4;
  let previous = request.mask && logitsOf(request.mask, side);
  if (request.previous) previous = chosenLogits(await answerTo(features, session, request.previous), request.previous);
  const { points, labels, numTokens } = toTokens(request, features.width, features.height, imageSize);
  const output = await session.run({
    ...features.arrays,
    points_xy: new runtime.ort.Tensor("float32", points, [1, labels.length, 2]),
    labels: new runtime.ort.Tensor("int64", labels, [1, labels.length]),
    mask_logits: new runtime.ort.Tensor("float32", previous ?? new Float32Array(side * side), [1, 1, side, side]),
    has_mask: new runtime.ort.Tensor("bool", [previous !== null], [1]),
  });
  const ious = output.iou_predictions.data as Float32Array;
  const isStable = Number(output.stability.data[0]) >= stability;
  const answer: Answer = {
    logits: output.low_res_logits.data as Float32Array,
    ious,
    objectScore: Number(output.object_score.data[0]),
    rows: chooseMasks(ious, numTokens, isStable),
  };
  features.answers.set(key, answer);
  for (const oldest of features.answers.keys()) {
    if (features.answers.size <= MAX_ANSWERS) break;
    features.answers.delete(oldest);
  }
  return answer;
}

const gridOf = ({ logits }: Answer, row: number): Float32Array<ArrayBuffer> => {
  const area = (imageSize / 4) ** 2;
  return Float32Array.from(logits.subarray(row * area, (row + 1) * area));
};

/** Return the chosen logits as the server keeps them, within the range that half precision holds well. */
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

async function decode({ id, key, request, fullSize }: Extract<ToWorker, { kind: "decode" }>): Promise<void> {
  const features = frames.get(key);
  const started = performance.now();
  if (!features || !decoder) return post({ kind: "decoded", id, side: 0, masks: [], objectScore: 0, ms: 0 });
  const { width, height } = features;
  const answer = await answerTo(features, decoder, request);
  const side = imageSize / 4;
  const clicks = clicksOf(request);
  const positive = clicks.points
    .filter((_, i) => clicks.labels[i] === 1)
    .map(([x, y]): Point => [(x * side) / width, (y * side) / height]);
  const masks: LocalMask[] = answer.rows.map((row, rank) => {
    const shown = gridOf(answer, row);
    tidy(shown, side, tidiness, positive);
    const loops = traceLogits(shown, side, side);
    const logits = fullSize ? base64(chosenLogits(answer, { ...request, candidate: rank })) : "";
    return {
      loops,
      iou: answer.ious[row],
      fullSize: fullSize ? { ...upsampled(shown, side, width, height), logits } : null,
    };
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

/** Answer the page's messages from now on. */
export function serve(using: Runtime): void {
  runtime = using;
  // One after the other: a session runs one decode at a time.
  let queue: Promise<void> = Promise.resolve();
  self.onmessage = (event: MessageEvent<ToWorker>) => {
    queue = queue.then(() => handle(event.data)).catch((error: unknown) => console.error(error));
  };
}
