/** Requests for objects that are found without prompts. */

import { call } from "./client";
import type { DiscoverRequest, Job, ProposalList, ProposalsAnswer } from "./types";

export const discover = (mid: string, request: DiscoverRequest, key: string): Promise<Job> =>
  call("POST", `/media/${mid}/discover`, { json: request, key });
export const findProposals = (mid: string, frame: number): Promise<Job> =>
  call("POST", `/media/${mid}/proposals`, { json: { frame_index: frame } });
export const getProposals = (jid: string): Promise<ProposalList> => call("GET", `/jobs/${jid}/proposals`);
export const acceptProposals = (
  jid: string,
  numbers: readonly number[],
  className: string,
  key: string,
): Promise<ProposalsAnswer> =>
  call("POST", `/jobs/${jid}/proposals/accept`, { json: { numbers, class_name: className }, key });
