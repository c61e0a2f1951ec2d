/** Finds out whether this browser has a GPU for the model. */

/** The part of WebGPU used here; TypeScript does not know it yet. */
interface Gpu {
  requestAdapter(): Promise<{ readonly info?: { readonly isFallbackAdapter?: boolean } } | null>;
}

/** Return whether there is a real GPU: software fallbacks are slower than WASM. `localStorage` may say "off" or "any". */
export async function hasGpu(): Promise<boolean> {
  const preference = localStorage.getItem("masklet.gpu");
  const gpu = (navigator as Navigator & { readonly gpu?: Gpu }).gpu;
  if (!gpu || preference === "off") return false;
  try {
    const adapter = await gpu.requestAdapter();
    return adapter !== null && (preference === "any" || !adapter.info?.isFallbackAdapter);
  } catch {
    return false;
  }
}
