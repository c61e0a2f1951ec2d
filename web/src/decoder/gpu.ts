/** Whether this browser has a GPU for the model. */

/** What of WebGPU is asked; TypeScript does not know it yet. */
interface Gpu {
  requestAdapter(): Promise<{ readonly info?: { readonly isFallbackAdapter?: boolean } } | null>;
}

/** A GPU that is one: what browsers put in its place is slower than WASM. `localStorage` may say "off", or "any". */
export async function hasGpu(): Promise<boolean> {
  const wanted = localStorage.getItem("masklet.gpu");
  const gpu = (navigator as Navigator & { readonly gpu?: Gpu }).gpu;
  if (!gpu || wanted === "off") return false;
  try {
    const adapter = await gpu.requestAdapter();
    return adapter !== null && (wanted === "any" || !adapter.info?.isFallbackAdapter);
  } catch {
    return false;
  }
}
