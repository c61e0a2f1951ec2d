/** Keeps the page and the server at one: changes go out in order, and news never undo what has been done since. */

import * as api from "../api/client";
import { backOnline, toastError } from "../state/app";
import { getSession, type Session } from "./session";
import { getState, setState } from "./store";

/** Whether an undo or redo is on its way: what is shown is not what the next change will meet. */
export const isTravelling = (): boolean => getSession()?.isBehind ?? false;

/**
 * Ask for objects, timeline, history and the prompts of the frame that is shown, and show them.
 *
 * @returns whether they are shown: not so if something has been changed while they were on their way.
 */
export async function takeNews(session: Session): Promise<boolean> {
  const { changes, medium } = session;
  const { frame } = getState();
  const [objects, timeline, history, byObject] = await Promise.all([
    api.listObjects(medium.id),
    api.getTimeline(medium.id),
    api.getHistory(medium.id),
    api.getPrompts(medium.id, frame),
  ]);
  if (getSession() !== session || session.changes !== changes) return false;
  // Changes that wait behind an undo have yet to find out what they change.
  if (session.waiting <= 1) session.isBehind = false;
  const { selected } = getState();
  const stillThere = objects.some((one) => one.id === selected);
  setState({ objects, timeline, history, selected: stillThere ? selected : null });
  if (getState().frame === frame) setState({ prompts: { frame, byObject } });
  session.earlier.invalidate();
  if (getState().compare === "before") session.earlier.ensure(getState().frame);
  return true;
}

/** What has been said on the frame that is shown. */
export async function refreshPrompts(): Promise<void> {
  const session = getSession();
  if (!session) return;
  const { frame } = getState();
  const { changes } = session;
  const byObject = await api.getPrompts(session.medium.id, frame);
  // What the server says does not tell of changes that wait.
  if (session.waiting || session.changes !== changes) refreshSoon();
  else if (getSession() === session && getState().frame === frame) setState({ prompts: { frame, byObject } });
}

/** News once nothing is on its way to the server. */
async function catchUp(session: Session): Promise<void> {
  do await session.idle();
  while (getSession() === session && !(await takeNews(session)));
}

let timer: ReturnType<typeof setTimeout> | null = null;
/** Soon ask again for what a change may have touched: several changes in a row ask once. */
export function refreshSoon(): void {
  if (timer !== null) clearTimeout(timer);
  timer = setTimeout(() => {
    timer = null;
    const session = getSession();
    if (session) catchUp(session).catch(toastError);
  }, 120);
}

/** Everything may be different: after imports, tracking, a lost connection. */
export async function refreshAll(): Promise<void> {
  const session = getSession();
  if (!session) return;
  session.masks.invalidate();
  session.frames.retry();
  session.masks.ensure(getState().frame);
  setState({ candidates: null, hover: null, pending: [] });
  await catchUp(session).catch(toastError);
}

/** Do it; and while the server is away, wait and do it again: nothing is lost, also if somebody goes to another medium. */
export async function patiently<T>(work: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof api.ApiError && error.status === 0)) throw error;
      await backOnline();
      await new Promise((resolve) => setTimeout(resolve, 300)); // it has just come up
    }
  }
}

/**
 * Run a change in order behind the others; say so when it fails and show again what the server has.
 *
 * @param work may be run again when the server was away. The key is the same then: with it, no request is done twice.
 */
export async function change<T>(work: (session: Session, key: string) => Promise<T>): Promise<T | undefined> {
  // What is changed belongs to the medium that is open now, also if another one is by the time of its turn.
  const session = getSession();
  if (!session) return undefined;
  const { history } = getState();
  const key = api.newKey();
  setState({ history: { ...history, can_undo: true, can_redo: false } });
  try {
    const result = await session.inOrder(() => patiently(() => work(session, key)));
    refreshSoon();
    return result;
  } catch (error) {
    toastError(error);
    void refreshAll();
    return undefined;
  }
}
