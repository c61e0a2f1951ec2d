/** Small holes and stray pieces of a mask, as `masklet.masks.operations.tidied_logits` treats them: what is shown, not fed back. */

import type { Point } from "../api/types";

/** Fractions of the mask's area up to which a hole is filled and a piece dropped; the model's own. */
export interface Tidiness {
  readonly maxHole: number;
  readonly maxPiece: number;
}

const MARGIN = 10;

/**
 * Fill small holes and drop small pieces, in place.
 *
 * @param logits of a side × side grid, foreground above 0.
 * @param kept in pixels of the grid: a piece under one of these stays, since a user clicked on it.
 */
export function tidy(
  logits: Float32Array,
  side: number,
  { maxHole, maxPiece }: Tidiness,
  kept: readonly Point[],
): void {
  let area = 0;
  for (const value of logits) if (value > 0) area++;
  const limits = { hole: Math.floor(maxHole * area), piece: Math.floor(maxPiece * area) };
  if (!limits.hole && !limits.piece) return;
  const clamp = (value: number) => Math.min(Math.max(Math.trunc(value), 0), side - 1);
  const clicked = new Set(kept.map(([x, y]) => clamp(y) * side + clamp(x)));
  const seen = new Uint8Array(logits.length);
  const part = new Int32Array(logits.length);
  for (let start = 0; start < logits.length; start++) {
    if (seen[start]) continue;
    const inside = logits[start] > 0;
    // The 8-connected part around this pixel; `part` is the list of its pixels and of those still to be looked at.
    let size = 0;
    part[size++] = start;
    seen[start] = 1;
    for (let i = 0; i < size; i++) {
      const x = part[i] % side;
      const y = (part[i] - x) / side;
      for (let row = Math.max(y - 1, 0); row <= Math.min(y + 1, side - 1); row++) {
        for (let column = Math.max(x - 1, 0); column <= Math.min(x + 1, side - 1); column++) {
          const at = row * side + column;
          if (seen[at] || logits[at] > 0 !== inside) continue;
          seen[at] = 1;
          part[size++] = at;
        }
      }
    }
    const pixels = part.subarray(0, size);
    const isSmall = size <= (inside ? limits.piece : limits.hole);
    if (!isSmall || (inside && pixels.some((at) => clicked.has(at)))) continue;
    // Other parts are not affected: these pixels have been seen.
    for (const at of pixels) logits[at] = inside ? -MARGIN : MARGIN;
  }
}
