/** Undo and redo. */

import * as api from "../../api/client";
import type { HistoryAnswer } from "../../api/types";
import { toast, toastError } from "../../state/app";
import { seek } from "./navigation";
import { getSession } from "./session";
import { getState, setState } from "./store";
import { refreshSoon, refreshState, retryWhenOnline } from "./sync";

export const undo = (): Promise<void> => stepHistory(api.undo, "Undone", "Nothing to undo");
export const redo = (): Promise<void> => stepHistory(api.redo, "Redone", "Nothing to redo");

/** Go one step through the history, in order with all other changes; the server knows whether there is a step. */
async function stepHistory(
  request: (mid: string, key: string) => Promise<HistoryAnswer>,
  done: string,
  nothing: string,
): Promise<void> {
  const session = getSession();
  if (!session) return;
  const key = api.newKey();
  setState({ candidates: null, hover: null });
  session.isUndoPending = true;
  try {
    await session.enqueue(async () => {
      const step = await retryWhenOnline(() => request(session.medium.id, key));
      if (getSession() !== session) return;
      setState({ history: step });
      if (step.what === null) {
        refreshSoon();
        toast(nothing);
        return;
      }
      if (step.frame_index !== null) seek(step.frame_index);
      session.masks.invalidate();
      session.forgetDecodeRequests();
      session.masks.ensure(getState().frame);
      if (!(await refreshState(session))) refreshSoon();
      if (step.object_id !== null && getState().objects.some((object) => object.id === step.object_id)) {
        setState({ selected: step.object_id, others: [], drafting: false });
      }
      toast(`${done}: ${step.what}`);
    });
  } catch (error) {
    refreshSoon();
    toastError(error);
  }
}
