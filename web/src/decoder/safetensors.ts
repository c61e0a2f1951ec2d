/** Reads safetensors: a length, a JSON header, little-endian arrays. */

interface Tensor {
  readonly shape: readonly number[];
  readonly data: Float32Array<ArrayBuffer>;
}

export function readSafetensors(bytes: ArrayBuffer): Map<string, Tensor> {
  const length = Number(new DataView(bytes).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(bytes, 8, length))) as Record<
    string,
    { dtype?: string; shape: number[]; data_offsets: [number, number] }
  >;
  const tensors = new Map<string, Tensor>();
  for (const [name, entry] of Object.entries(header)) {
    if (name === "__metadata__") continue;
    if (entry.dtype !== "F32") throw new Error(`array ${name} must be F32, got ${entry.dtype}`);
    const [start, stop] = entry.data_offsets;
    // Copied, since the header's length need not be a multiple of four.
    const data = new Float32Array(bytes.slice(8 + length + start, 8 + length + stop));
    tensors.set(name, { shape: entry.shape, data });
  }
  return tensors;
}
