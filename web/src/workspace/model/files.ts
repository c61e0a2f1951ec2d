/** The open medium and its neighbours in the project: opened, closed, renamed; masks imported from files. */

import * as api from "../../api/client";
import type { ImportMode } from "../../api/types";
import { messageOf, plural } from "../../lib/text";
import { toast, toastError } from "../../state/app";
import { go } from "../../state/route";
import { undo } from "./history";
import { refreshEmbedding } from "./localDecoder";
import { getSession, Session, setSession } from "./session";
import { getState, INITIAL, setState } from "./store";
import { refreshAll, refreshState } from "./sync";
import { rememberedDiscoveryOptions, resumeTracking, watchRunningJob } from "./tracking";

/** Grows with every medium that is opened or closed: an earlier one that loads late is dropped. */
let opening = 0;

export async function openMedium(pid: string, mid: string, startFrame: number): Promise<void> {
  const turn = ++opening;
  setSession(null);
  const { localMode } = getState();
  setState({ ...INITIAL, localMode }, true);
  try {
    const [medium, project, neighbours] = await Promise.all([
      api.getMedium(mid),
      api.getProject(pid),
      api.getNeighbours(mid),
    ]);
    if (turn !== opening) return;
    const session = new Session(medium);
    setSession(session);
    const frame = Math.min(startFrame, medium.num_frames - 1);
    const brushSize = Math.max(4, Math.round(Math.min(medium.width, medium.height) / 24));
    setState({ medium, project, neighbours, frame, brushSize, discoveryOptions: rememberedDiscoveryOptions(pid) });
    document.title = `${medium.name} · masklet studio`;
    session.masks.ensure(frame);
    await refreshState(session);
    const { objects, selected, drafting } = getState();
    // A quick user has clicked already, and goes on with that object.
    if (objects.length && selected === null && !drafting) setState({ selected: objects[0].id });
    await watchRunningJob();
    refreshEmbedding();
  } catch (error) {
    if (turn === opening) setState({ loadError: messageOf(error) });
  }
}

export function closeMedium(): void {
  opening++;
  setSession(null);
  setState(INITIAL, true);
}

/** Refresh after a lost connection; the server may have been restarted and its jobs may be gone. */
export async function reconnect(): Promise<void> {
  await refreshAll();
  await resumeTracking().catch(toastError);
}

/** Open the medium before or after this one in the project. */
export function openSibling(offset: 1 | -1): void {
  const { neighbours, medium } = getState();
  const mid = offset > 0 ? neighbours?.next : neighbours?.previous;
  if (mid && medium) go({ screen: "workspace", pid: medium.project_id, mid, frame: 0 });
}

export async function renameMedium(name: string): Promise<void> {
  const { medium } = getState();
  if (!medium) return;
  try {
    const renamed = await api.renameMedium(medium.id, name);
    if (getState().medium?.id === medium.id) setState({ medium: { ...medium, name: renamed.name } });
  } catch (error) {
    toastError(error);
  }
}

/** Import masks; returns whether it was done. */
export async function importMasks(format: string, mode: ImportMode, files: readonly File[]): Promise<boolean> {
  try {
    const session = getSession();
    const report = await session?.enqueue(() => api.importMasks(session.medium.id, format, mode, files));
    if (!report || getSession() !== session) return false;
    setState({ project: await api.getProject(getState().medium?.project_id ?? "") }); // the files may bring classes
    await refreshAll();
    const skipped = report.skipped.length ? `; left out: ${report.skipped.slice(0, 3).join(", ")}` : "";
    toast(`Imported ${plural(report.num_masks, "mask")} of ${plural(report.objects.length, "object")}${skipped}`, {
      label: "Undo",
      run: () => void undo(),
    });
    return true;
  } catch (error) {
    toastError(error);
    return false;
  }
}
