/** Keeps page and server in step: changes are sent in order, and an older answer never overwrites a newer change. */

import * as api from "../../api/client";
import { backOnline, toastError } from "../../state/app";
import { getSession, type Session } from "./session";
import { getState, setState } from "./store";

/** Return whether an undo or redo is unanswered: the next change will meet another state than the one shown. */
export const isUndoPending = (): boolean => getSession()?.isUndoPending ?? false;

/**
 * Fetch objects, timeline, history and the prompts of the shown frame, and show them.
 *
 * @returns false, with nothing shown, if something was changed in the meantime.
 */
export async function refreshState(session: Session): Promise<boolean> {
  const { changeCount, medium } = session;
  const { frame } = getState();
  const [objects, timeline, history, byObject] = await Promise.all([
    api.listObjects(medium.id),
    api.getTimeline(medium.id),
    api.getHistory(medium.id),
    api.getPrompts(medium.id, frame),
  ]);
  if (getSession() !== session || session.changeCount !== changeCount) return false;
  // Changes that wait behind an undo have yet to learn what they change.
  if (session.numWaiting <= 1) session.isUndoPending = false;
  const { selected, others } = getState();
  const isKept = (id: number | null) => objects.some((object) => object.id === id);
  setState({
    objects,
    timeline,
    history,
    selected: isKept(selected) ? selected : null,
    others: others.filter(isKept),
  });
  if (getState().frame === frame) setState({ prompts: { frame, byObject } });
  session.earlierMasks.invalidate();
  if (getState().compare === "before") session.earlierMasks.ensure(getState().frame);
  return true;
}

/** Fetch and show the prompts of the shown frame. */
export async function refreshPrompts(): Promise<void> {
  const session = getSession();
  if (!session) return;
  const { frame } = getState();
  const { changeCount } = session;
  const byObject = await api.getPrompts(session.medium.id, frame);
  // The server's answer lacks the changes that are still waiting.
  if (session.numWaiting || session.changeCount !== changeCount) refreshSoon();
  else if (getSession() === session && getState().frame === frame) setState({ prompts: { frame, byObject } });
}

/** Refresh once no change is waiting, and again until nothing was changed in the meantime. */
async function refreshWhenIdle(session: Session): Promise<void> {
  do await session.idle();
  while (getSession() === session && !(await refreshState(session)));
}

let timer: ReturnType<typeof setTimeout> | null = null;
/** Refresh in a moment what a change may have affected: several changes in a row refresh once. */
export function refreshSoon(): void {
  if (timer !== null) clearTimeout(timer);
  timer = setTimeout(() => {
    timer = null;
    const session = getSession();
    if (session) refreshWhenIdle(session).catch(toastError);
  }, 120);
}

/** Refresh everything, masks included: after imports, tracking or a lost connection. */
export async function refreshAll(): Promise<void> {
  const session = getSession();
  if (!session) return;
  session.masks.invalidate();
  session.frames.retry();
  session.masks.ensure(getState().frame);
  setState({ candidates: null, hover: null, pendingMasks: [] });
  await refreshWhenIdle(session).catch(toastError);
}

/** Do the work; while the server cannot be reached, wait and do it again. Goes on if another medium is opened. */
export async function retryWhenOnline<T>(work: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof api.ApiError && error.status === 0)) throw error;
      await backOnline();
      await new Promise((resolve) => setTimeout(resolve, 300)); // the server has only just started
    }
  }
}

/**
 * Send a change in order behind the others; if it fails, report it and show again what the server has.
 *
 * @param work may be run again when the server was away. The key is the same then: the server does each key once.
 */
export async function change<T>(work: (session: Session, key: string) => Promise<T>): Promise<T | undefined> {
  // The change belongs to the medium that is open now, even if another one is when it is sent.
  const session = getSession();
  if (!session) return undefined;
  const { history } = getState();
  const key = api.newKey();
  setState({ history: { ...history, can_undo: true, can_redo: false } });
  try {
    const result = await session.enqueue(() => retryWhenOnline(() => work(session, key)));
    refreshSoon();
    return result;
  } catch (error) {
    toastError(error);
    void refreshAll();
    return undefined;
  }
}
