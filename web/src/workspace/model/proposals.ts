/** Proposals for a frame: shown, filtered, accepted as objects or refused. */

import * as api from "../../api/discovery";
import type { Job, Point, Proposal } from "../../api/types";
import { inReadingOrder, type ProposalFilter, proposalAt } from "../../lib/proposals";
import { isNumber, isOneOf, readChecked, readRemembered, remember } from "../../lib/remembered";
import { plural } from "../../lib/text";
import { toast, toastError } from "../../state/app";
import { undo } from "./history";
import { dropHover } from "./hover";
import { seek } from "./navigation";
import { getSession, type Session } from "./session";
import {
  areProposalsShown,
  chosenProposals,
  getState,
  offeredProposals,
  type ProposalReview,
  setState,
  withoutAccepted,
} from "./store";
import { change } from "./sync";

/** Proposals of more than this share of the picture are mostly background. */
const USUAL_MAX_SHARE = 0.5;

/** Fetch what a job has found, and show it. */
export async function showProposals(session: Session, job: Job): Promise<void> {
  try {
    const { frame_index, usual_confidence, proposals } = await api.getProposals(job.id);
    if (getSession() !== session) return;
    if (!proposals.length) {
      toast("Nothing new was found on this frame");
      return;
    }
    const filter = rememberedFilter(session.medium.project_id, {
      minConfidence: usual_confidence,
      minShare: 0,
      maxShare: USUAL_MAX_SHARE,
      level: "objects",
    });
    setState({
      proposals: {
        jobId: job.id,
        frame: frame_index,
        list: proposals,
        filter,
        accepted: new Map(),
        refused: new Set(),
        marked: new Set(),
        highlighted: null,
      },
      tool: "click",
      masksVisible: true,
      candidates: null,
      cursor: null,
      selected: null,
      others: [],
      drafting: false,
    });
    seek(frame_index);
    dropHover();
  } catch (error) {
    toastError(error);
  }
}

/** End the review of proposals; the objects that were made of them are then selected. */
export function closeProposals(): void {
  const { proposals } = getState();
  if (!proposals) return;
  setState({ proposals: null });
  const ids = acceptedIds(proposals);
  if (ids.length) setState({ selected: ids[ids.length - 1], others: ids.slice(0, -1), drafting: false });
}

/** Return the objects that were made of proposals and still exist, in the order of the list. */
export function acceptedIds({ accepted }: ProposalReview): readonly number[] {
  const made = new Set(accepted.values());
  return getState()
    .objects.map(({ id }) => id)
    .filter((id) => made.has(id));
}

/** Change the proposals that are open; does nothing where there are none. */
function update(change: (review: ProposalReview) => Partial<ProposalReview>): void {
  setState(({ proposals }) => ({ proposals: proposals && { ...proposals, ...change(proposals) } }));
}

const filterKey = (pid: string): string => `masklet.proposals.${pid}`;

/** Change which proposals are shown; this is remembered for the project's next searches. */
export function setProposalFilter(changes: Partial<ProposalFilter>): void {
  update(({ filter }) => ({ filter: { ...filter, ...changes }, highlighted: null }));
  const { medium } = getState();
  if (!medium) return;
  const key = filterKey(medium.project_id);
  remember(key, { ...readRemembered<Partial<ProposalFilter>>(localStorage.getItem(key), {}), ...changes });
}

/** Return the filter that was chosen last in a project; what was never changed is as usual. */
function rememberedFilter(pid: string, usual: ProposalFilter): ProposalFilter {
  return readChecked(localStorage.getItem(filterKey(pid)), usual, {
    minConfidence: isNumber(0, 1),
    minShare: isNumber(0, 1),
    maxShare: isNumber(0, 1),
    level: isOneOf("objects", "parts", "both"),
  });
}

function highlightProposal(number: number | null): void {
  if (getState().proposals?.highlighted !== number) update(() => ({ highlighted: number }));
}

/** Highlight the next or the previous proposal in reading order. */
export function cycleProposal(by: 1 | -1): void {
  const state = getState();
  const { proposals, medium } = state;
  if (!proposals || !medium) return;
  seek(proposals.frame);
  const list = inReadingOrder(offeredProposals(state), medium.height);
  if (!list.length) return;
  const at = list.findIndex(({ number }) => number === proposals.highlighted);
  const next = at < 0 ? (by > 0 ? 0 : list.length - 1) : (at + by + list.length) % list.length;
  highlightProposal(list[next].number);
}

/** Do something with the highlighted proposal and highlight the next one; returns false if none is highlighted. */
function withHighlighted(act: (number: number) => void): boolean {
  const number = getState().proposals?.highlighted ?? null;
  if (number === null) return false;
  cycleProposal(1);
  act(number);
  const { highlighted } = getState().proposals ?? {};
  if (highlighted === number) highlightProposal(null); // it was the last one
  return true;
}

export const acceptHighlighted = (): boolean => withHighlighted((number) => void acceptProposals([number]));
export const refuseHighlighted = (): boolean => withHighlighted(refuseProposal);

function refuseProposal(number: number): void {
  update(({ refused, highlighted }) => ({
    refused: new Set([...refused, number]),
    highlighted: highlighted === number ? null : highlighted,
  }));
}

/**
 * Accept or refuse the smallest proposal at a place.
 *
 * @returns false if there is none, or none are shown.
 */
export function decideAt([x, y]: Point, label: 0 | 1): boolean {
  const proposal = proposalUnder([x, y]);
  if (!proposal) return false;
  if (label === 1) void acceptProposals([proposal.number]);
  else refuseProposal(proposal.number);
  return true;
}

/** Mark the smallest proposal at a place, or take the mark away; returns false if there is none. */
export function toggleMarkedAt(point: Point): boolean {
  const proposal = proposalUnder(point);
  if (!proposal) return false;
  const { number } = proposal;
  update(({ marked }) => ({
    marked: new Set(marked.has(number) ? [...marked].filter((other) => other !== number) : [...marked, number]),
  }));
  return true;
}

/** Highlight the proposal at a place; returns false if there is none, or none are shown. */
export function highlightAt(point: Point): boolean {
  if (!areProposalsShown(getState())) return false;
  const proposal = proposalUnder(point);
  highlightProposal(proposal?.number ?? null);
  return proposal !== null;
}

function proposalUnder([x, y]: Point): Proposal | null {
  const state = getState();
  return areProposalsShown(state) ? proposalAt(offeredProposals(state), x, y) : null;
}

export const offerRefused = (): void => update(() => ({ refused: new Set() }));

/** Make objects of the marked proposals, or of all that the filter lets through; returns whether there are any. */
export async function acceptOffered(): Promise<boolean> {
  const numbers = chosenProposals(getState()).map(({ number }) => number);
  if (!numbers.length) return false;
  await acceptProposals(numbers);
  toast(`Accepted ${plural(numbers.length, "proposal")}`, { label: "Undo", run: () => void undo() });
  return true;
}

/** Make objects of proposals, in one step to undo. */
async function acceptProposals(numbers: readonly number[]): Promise<void> {
  const { proposals, nextClass } = getState();
  if (!proposals) return;
  const { jobId } = proposals;
  const isOpen = () => getState().proposals?.jobId === jobId;
  markAccepted(numbers.map((number) => [number, null]));
  const answer = await change((_, key) => api.acceptProposals(jobId, numbers, nextClass, key));
  if (!answer) {
    // The change was refused, and reported: offer them again.
    if (isOpen()) update(({ accepted }) => ({ accepted: without(accepted, numbers) }));
    return;
  }
  getSession()?.showAnswer(answer.frame);
  setState((state) => {
    const listed = new Set(state.objects.map((object) => object.id));
    return {
      objects: [...state.objects, ...answer.objects.filter(({ id }) => !listed.has(id))],
      proposals: withoutAccepted(
        state.proposals,
        answer.objects.map(({ id }) => id),
      ),
    };
  });
  if (!isOpen()) return;
  markAccepted(answer.objects.map(({ id }, i) => [numbers[i], id]));
}

const markAccepted = (pairs: readonly (readonly [number, number | null])[]): void =>
  update(({ accepted, highlighted }) => ({
    accepted: new Map([...accepted, ...pairs]),
    highlighted: pairs.some(([number]) => number === highlighted) ? null : highlighted,
  }));

const without = <T>(map: ReadonlyMap<number, T>, keys: readonly number[]): ReadonlyMap<number, T> =>
  new Map([...map].filter(([key]) => !keys.includes(key)));
