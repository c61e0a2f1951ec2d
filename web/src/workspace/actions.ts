/** Everything a person can do in the workspace. Buttons, keys and the canvas call these, and nothing else changes state. */

export * from "./history";
export * from "./objects";
export * from "./places";
export * from "./prompting";
export * from "./selection";
export * from "./tracking";

import * as api from "../api/client";
import { plural } from "../lib/text";
import { toast, toastError } from "../state/app";
import { refreshEmbedding } from "./embedding";
import { undo } from "./history";
import { getSession, Session, setSession } from "./session";
import { getState, INITIAL, setState, type Tool, type WorkspaceState } from "./store";
import { refreshAll, takeNews } from "./sync";
import { goOn, resumeJob } from "./tracking";

// Opening and keeping up with the server.

let opening = 0;

export async function open(pid: string, mid: string, frame: number): Promise<void> {
  const turn = ++opening;
  setSession(null);
  const { localMode } = getState();
  setState({ ...INITIAL, localMode }, true);
  try {
    const [medium, project, siblings] = await Promise.all([
      api.getMedium(mid),
      api.getProject(pid),
      api.listMedia(pid),
    ]);
    if (turn !== opening) return; // somebody went on to another one meanwhile
    const session = new Session(medium);
    setSession(session);
    const at = Math.min(frame, medium.num_frames - 1);
    const brushSize = Math.max(4, Math.round(Math.min(medium.width, medium.height) / 24));
    setState({ medium, project, siblings, frame: at, brushSize });
    document.title = `${medium.name} · masklet studio`;
    session.masks.ensure(at);
    await takeNews(session);
    const { objects } = getState();
    if (objects.length) setState({ selected: objects[0].id });
    await resumeJob();
    refreshEmbedding();
  } catch (error) {
    if (turn === opening) setState({ loadError: error instanceof Error ? error.message : String(error) });
  }
}

export function close(): void {
  opening++;
  setSession(null);
  setState(INITIAL, true);
}

/** The server is back, perhaps restarted: its jobs may be gone. */
export async function reconnected(): Promise<void> {
  await refreshAll();
  await goOn().catch(toastError);
}

// Tools.

export function setTool(tool: Tool): void {
  setState({ tool, hover: null, cursor: null });
  if (tool === "click" || tool === "box") refreshEmbedding();
}

export function setBrushSize(size: number): void {
  const { medium } = getState();
  setState({
    brushSize: Math.round(Math.min(Math.max(size, 1), medium ? Math.max(medium.width, medium.height) / 2 : 500)),
  });
}

export function setLocalMode(localMode: boolean): void {
  localStorage.setItem("masklet.local", localMode ? "1" : "0");
  setState({ localMode, hover: null });
  refreshEmbedding();
}

/** Compare with what was there before, or with the picture alone; null ends it. */
export function setCompare(compare: WorkspaceState["compare"]): void {
  setState({ compare, masksVisible: true });
  if (compare === "before") getSession()?.earlier.ensure(getState().frame);
}

export const toggleCompare = (): void => setCompare(getState().compare ? null : "before");

// Importing.

export async function importMasks(format: string, files: readonly File[]): Promise<boolean> {
  try {
    const session = getSession();
    const report = await session?.inOrder(() => api.importMasks(session.medium.id, format, files));
    if (!report || getSession() !== session) return false;
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
