/** Which proposals are offered: filtered in the page, so that sliders are answered at once. */

import type { Proposal } from "../api/types";
import { rleContains } from "./rle";

/** Objects lie in no larger proposal, parts do. */
export type ProposalLevel = "objects" | "parts" | "both";

export interface ProposalFilter {
  readonly minConfidence: number;
  /** Shares of the picture, 0..1. */
  readonly minShare: number;
  readonly maxShare: number;
  readonly level: ProposalLevel;
}

/**
 * Return the proposals that a user is still asked about.
 *
 * @param pixels of the picture.
 * @param refused what lies in a refused proposal is no part of it: it is offered in its place.
 * @param isAccepted what lies in an accepted proposal stays a part of it.
 */
export function offered(
  list: readonly Proposal[],
  filter: ProposalFilter,
  pixels: number,
  refused: ReadonlySet<number>,
  isAccepted: (number: number) => boolean,
): readonly Proposal[] {
  const { minConfidence, minShare, maxShare, level } = filter;
  const passing = list.filter(
    ({ number, area, confidence }) =>
      isAccepted(number) ||
      (!refused.has(number) && confidence >= minConfidence && area >= minShare * pixels && area <= maxShare * pixels),
  );
  const numbers = new Set(passing.map(({ number }) => number));
  return passing.filter(({ number, inside }) => {
    if (isAccepted(number)) return false;
    return level === "both" || inside.some((container) => numbers.has(container)) === (level === "parts");
  });
}

/** Return the smallest proposal at a place in source pixels. */
export function proposalAt(list: readonly Proposal[], x: number, y: number): Proposal | null {
  let best: Proposal | null = null;
  for (const proposal of list) {
    const [left, top, right, bottom] = proposal.box;
    const isNear = x >= left && x < right && y >= top && y < bottom;
    if (isNear && (!best || proposal.area < best.area) && rleContains(proposal.rle, x, y)) best = proposal;
  }
  return best;
}

/** Return proposals in reading order: line by line, in lines of a sixth of the picture. */
export function inReadingOrder(list: readonly Proposal[], height: number): readonly Proposal[] {
  const line = ({ box }: Proposal) => Math.floor((3 * (box[1] + box[3])) / height);
  return [...list].sort((a, b) => line(a) - line(b) || a.box[0] - b.box[0] || a.number - b.number);
}
