/** The worker for browsers with WebGPU. */

import wasmUrl from "onnxruntime-web/ort-wasm-simd-threaded.asyncify.wasm?url";
import { env, InferenceSession, Tensor } from "onnxruntime-web/webgpu";
import { serve } from "./serve";

serve({ ort: { env, InferenceSession, Tensor }, wasmUrl, provider: "webgpu" });
