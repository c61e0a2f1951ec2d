/** The worker that every browser can run: WASM with SIMD, and threads. */

import wasmUrl from "onnxruntime-web/ort-wasm-simd-threaded.wasm?url";
import { env, InferenceSession, Tensor } from "onnxruntime-web/wasm";
import { serve } from "./serve";

serve({ ort: { env, InferenceSession, Tensor }, wasmUrl, provider: "wasm" });
