/** Everything a person can do in the workspace. Buttons, keys and the canvas call these, and nothing else changes state. */

import * as api from "../api/client";
import type {
  Box,
  Direction,
  FrameMasks,
  HistoryStep,
  Job,
  ObjectFields,
  Point,
  PromptBody,
  PromptsOnFrame,
  Rle,
  SegmentObject,
  TimelineObject,
} from "../api/types";
import { plural } from "../lib/text";
import { toast, toastError } from "../state/app";
import { rememberFrame } from "../state/route";
import { dropHover, localDecode, refreshEmbedding } from "./embedding";
import { getSession, Session, setSession } from "./session";
import { getState, INITIAL, type Range, selectedObject, setState, type Tool } from "./store";
import { change, isTravelling, mediumId, refreshAll, refreshPrompts, refreshSoon, takeNews } from "./sync";

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
  const { job } = getState();
  if (!job) await resumeJob().catch(toastError);
}

// Going places.

export function seek(frame: number, options: { byPlayback?: boolean; byTracking?: boolean } = {}): void {
  const { medium, frame: before } = getState();
  if (!medium) return;
  const at = Math.min(Math.max(Math.round(frame), 0), medium.num_frames - 1);
  if (!options.byTracking) setState({ following: false });
  if (!options.byPlayback) setState({ playing: false });
  if (at === before) return;
  setState({ frame: at, hover: null, candidates: null, pending: null });
  getSession()?.masks.ensure(at, options.byPlayback ? 60 : 0);
  rememberFrame(at);
  settle();
}

let settling: ReturnType<typeof setTimeout> | null = null;
/** Prompts and the embedding are asked for only where somebody stays for a moment. */
function settle(): void {
  if (settling !== null) clearTimeout(settling);
  settling = setTimeout(() => {
    settling = null;
    if (!getSession() || getState().playing) return;
    refreshPrompts().catch(toastError);
    refreshEmbedding();
  }, 90);
}

export const step = (by: number): void => seek(getState().frame + by);

/** The next or previous frame on which somebody has said something. */
export function seekPrompted(direction: 1 | -1): void {
  const { timeline, frame, selected } = getState();
  const frames = (timeline?.objects ?? [])
    .filter((lane) => selected === null || lane.object_id === selected)
    .flatMap((lane) => lane.prompted)
    .filter((prompted) => (direction > 0 ? prompted > frame : prompted < frame))
    .sort((a, b) => (a - b) * direction);
  if (frames.length) seek(frames[0]);
}

export async function seekNextToCheck(): Promise<void> {
  try {
    const suggestions = await api.getSuggestions(mediumId(), 5);
    setState({ suggestions });
    const { frame } = getState();
    const next = suggestions.find((one) => one.frame_index !== frame) ?? suggestions[0];
    if (!next) {
      toast("Nothing to check: no frame stands out.");
      return;
    }
    seek(next.frame_index);
    select(next.object_id);
    toast(`Frame ${next.frame_index}: ${next.reason}`);
  } catch (error) {
    toastError(error);
  }
}

export function togglePlay(): void {
  const { playing, medium, frame, range, looping } = getState();
  if (!medium || medium.num_frames < 2) return;
  const stop = looping && range ? range.stop : medium.num_frames;
  if (!playing && frame >= stop - 1) seek(looping && range ? range.start : 0);
  setState({ playing: !playing, following: false, hover: null });
  if (playing) settle();
}

export function setInPoint(): void {
  const { frame, range, medium } = getState();
  if (!medium) return;
  setState({ range: { start: frame, stop: range && range.stop > frame ? range.stop : medium.num_frames } });
}

export function setOutPoint(): void {
  const { frame, range } = getState();
  setState({ range: { start: range && range.start <= frame ? range.start : 0, stop: frame + 1 } });
}

export const setRange = (range: Range | null): void => setState({ range });

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

// Objects.

export function select(id: number | null): void {
  setState({ selected: id, drafting: false, candidates: null, hover: null });
}

/** The next click makes a new object. */
export function draftObject(): void {
  const { tool } = getState();
  setState({ selected: null, drafting: true, candidates: null, hover: null, tool: tool === "hand" ? "click" : tool });
}

async function createObject(): Promise<SegmentObject> {
  const created = await api.createObject(mediumId());
  setState((state) => ({ objects: [...state.objects, created], selected: created.id, drafting: false }));
  return created;
}

export function updateObject(id: number, fields: ObjectFields): void {
  setState((state) => ({
    objects: state.objects.map((one) => (one.id === id ? { ...one, ...fields } : one)),
  }));
  void change(() => api.updateObject(mediumId(), id, fields)).then(() => {
    if (fields.class_name === undefined) return;
    const { project } = getState();
    if (project)
      void api.getProject(project.id).then(
        (fresh) => setState({ project: fresh }),
        () => {},
      );
  });
}

export function deleteObject(id: number): void {
  const { objects, selected } = getState();
  const gone = objects.find((one) => one.id === id);
  if (!gone) return;
  const at = objects.indexOf(gone);
  const rest = objects.filter((one) => one.id !== id);
  const next = selected === id ? (rest[Math.min(at, rest.length - 1)]?.id ?? null) : selected;
  setState({ objects: rest, selected: next, candidates: null });
  void change(() => api.deleteObject(mediumId(), id)).then(() => {
    getSession()?.masks.invalidate();
    getSession()?.masks.ensure(getState().frame);
    toast(`Deleted “${gone.name}”`, { label: "Undo", run: () => void undo() });
  });
}

// Prompts.

const NO_PROMPT: PromptBody = { points: [], labels: [], box: null, candidate: null };

/** What has been said of an object on the frame that is shown. */
export function promptOf(objectId: number | null): PromptBody {
  const { prompts, frame } = getState();
  return objectId === null || prompts.frame !== frame ? NO_PROMPT : bodyOf(prompts.byObject, objectId);
}

function bodyOf(said: PromptsOnFrame, objectId: number): PromptBody {
  const { points, labels, box, candidate } = said[String(objectId)] ?? NO_PROMPT;
  return { points, labels, box, candidate };
}

/** The same of any frame, when the turn of a change has come. */
async function promptNow(frame: number, objectId: number, isKnown: boolean): Promise<PromptBody> {
  const { prompts } = getState();
  const isHere = isKnown && prompts.frame === frame;
  return bodyOf(isHere ? prompts.byObject : await api.getPrompts(mediumId(), frame), objectId);
}

/** Whether an object may be changed on this frame; says so if not, and shows it if it is hidden. */
export function isOpen(object: SegmentObject): boolean {
  const { frame } = getState();
  if (object.locked) {
    toast(`“${object.name}” is locked.`, { label: "Unlock", run: () => updateObject(object.id, { locked: false }) });
    return false;
  }
  const mask = getSession()
    ?.masks.get(frame)
    ?.objects.find((one) => one.object_id === object.id);
  if (mask?.accepted && mask.area > 0) {
    toast(`“${object.name}” is accepted on frame ${frame}.`, {
      label: "Take back",
      run: () => acceptFrames(frame, frame + 1, false, [object.id]),
    });
    return false;
  }
  if (object.hidden) updateObject(object.id, { hidden: false });
  return true;
}

/** Add to what has been said of the selected object here, and ask for its mask. */
function say(extend: (before: PromptBody) => PromptBody): void {
  const { frame } = getState();
  const known = selectedObject(getState());
  if (known && !isOpen(known)) return;
  dropHover();
  setState({ playing: false, candidates: null, masksVisible: true });
  // Worked out now, since by the time it is sent somebody may have gone to another frame; but not while an undo is on
  // its way, since what it adds to is known only after that.
  const isKnown = !isTravelling();
  const early = known && isKnown ? extend(promptOf(known.id)) : null;
  if (known && early) rememberPrompt(frame, known.id, early);
  void change(async () => {
    const target = await targetOf(known, isKnown);
    const prompt = early ?? extend(await promptNow(frame, target.id, isKnown));
    rememberPrompt(frame, target.id, prompt);
    let isAnswered = false;
    void showPending(frame, target.id, prompt, () => isAnswered);
    await sendPrompt(frame, target.id, prompt).finally(() => {
      isAnswered = true;
      setState({ pending: null });
    });
  });
}

/**
 * Whom a change is about when its turn has come: of two quick clicks on nothing, the second means what the first has
 * made.
 *
 * @param isKnown false: an undo came before it, which may have taken the object away.
 */
async function targetOf(known: SegmentObject | undefined, isKnown: boolean): Promise<SegmentObject> {
  const state = getState();
  const objects = isKnown ? state.objects : await api.listObjects(mediumId());
  const find = (id: number | null | undefined) => objects.find((one) => one.id === id);
  return find(known?.id) ?? find(state.selected) ?? (await createObject());
}

function rememberPrompt(frame: number, objectId: number, prompt: PromptBody | null): void {
  setState((state) => {
    const objects = state.objects.map((one) => {
      if (one.id !== objectId) return one;
      const others = one.prompted_frames.filter((prompted) => prompted !== frame);
      return { ...one, prompted_frames: prompt ? [...others, frame] : others };
    });
    if (state.prompts.frame !== frame) return { objects };
    const byObject = { ...state.prompts.byObject };
    if (prompt) byObject[String(objectId)] = { ...prompt, has_mask: false };
    else delete byObject[String(objectId)];
    return { objects, prompts: { frame, byObject } };
  });
}

async function sendPrompt(frame: number, objectId: number, prompt: PromptBody): Promise<void> {
  const answer = await api.putPrompt(mediumId(), frame, objectId, prompt);
  takeFrame(answer.frame);
  const chosen = prompt.candidate ?? 0;
  const isAmbiguous = answer.candidates.length > 1 && getState().frame === frame;
  setState({
    candidates: isAmbiguous ? { frame, objectId, list: answer.candidates, chosen } : null,
  });
}

function takeFrame(masks: FrameMasks | null): void {
  if (masks) getSession()?.masks.set(masks);
}

/** What the page's own decoder says, at once. */
async function showPending(
  frame: number,
  objectId: number,
  prompt: PromptBody,
  isAnswered: () => boolean,
): Promise<void> {
  const answer = await localDecode(frame, prompt);
  const best = answer?.masks[0];
  if (!answer || !best || isAnswered() || getState().frame !== frame) return;
  setState({ pending: { frame, objectId, loops: best.loops, side: answer.side } });
}

export function addPoint(point: Point, label: 0 | 1): void {
  say((before) => ({
    ...before,
    points: [...before.points, point],
    labels: [...before.labels, label],
    // Further points correct the candidate that was chosen for the first.
    candidate: before.points.length ? before.candidate : null,
  }));
}

export function setBox(box: Box): void {
  say((before) => ({ ...before, box, candidate: null }));
}

export function removePoint(index: number): void {
  const { selected } = getState();
  const shown = promptOf(selected);
  const [x, y] = shown.points[index];
  if (shown.points.length === 1 && !shown.box) clearPrompt();
  else
    say((before) => {
      const keep = before.points.map((point) => point[0] !== x || point[1] !== y);
      return {
        ...before,
        points: before.points.filter((_, i) => keep[i]),
        labels: before.labels.filter((_, i) => keep[i]),
        candidate: null,
      };
    });
}

/** Take back all that was said of the selected object on this frame. */
export function clearPrompt(): void {
  const { selected, frame } = getState();
  const object = selectedObject(getState());
  if (selected === null || !object || !isOpen(object)) return;
  setState({ candidates: null, hover: null, pending: null });
  rememberPrompt(frame, selected, null);
  void change(async () => {
    const answer = await api.deletePrompt(mediumId(), frame, selected);
    if (answer.frame) takeFrame(answer.frame);
    else getSession()?.masks.remove(frame, selected);
    toast("Cleared what was said here", { label: "Undo", run: () => void undo() });
  });
}

export function chooseCandidate(index: number): void {
  const { candidates } = getState();
  if (!candidates || index === candidates.chosen || index >= candidates.list.length) return;
  const { frame, objectId, list } = candidates;
  const prompt = { ...promptOf(objectId), candidate: index };
  rememberPrompt(frame, objectId, prompt);
  setState({ candidates: { ...candidates, chosen: index } });
  void change(async () => {
    const answer = await api.putPrompt(mediumId(), frame, objectId, prompt);
    takeFrame(answer.frame);
    const now = getState().candidates;
    // The list keeps its order, so that going back and forth compares the same three.
    if (now?.objectId === objectId && now.frame === frame)
      setState({ candidates: { frame, objectId, list, chosen: index } });
  });
}

export function cycleCandidate(): void {
  const { candidates } = getState();
  if (candidates) chooseCandidate((candidates.chosen + 1) % candidates.list.length);
}

/** The selected object's mask here is this, drawn by hand. */
export function drawMask(rle: Rle): void {
  const { frame } = getState();
  const known = selectedObject(getState());
  if (known && !isOpen(known)) return;
  setState({ candidates: null, playing: false });
  if (known) getSession()?.masks.draw(frame, known.id, rle);
  const isKnown = !isTravelling();
  void change(async () => {
    const target = await targetOf(known, isKnown);
    const answer = await api.putMask(mediumId(), frame, target.id, rle);
    takeFrame(answer.frame);
  });
}

// Review and history.

export function acceptFrames(
  start: number,
  stop: number,
  accepted: boolean,
  objects: readonly number[] | null = null,
): void {
  void change(async () => {
    await api.accept(mediumId(), { start, stop, accepted, objects });
    getSession()?.masks.invalidate();
    getSession()?.masks.ensure(getState().frame);
    const what = stop - start === 1 ? `frame ${start}` : plural(stop - start, "frame");
    toast(accepted ? `Accepted ${what}` : `${what[0].toUpperCase()}${what.slice(1)} open again`, {
      label: "Undo",
      run: () => void undo(),
    });
  });
}

export function isAccepted(frame: number): boolean {
  return getState().timeline?.accepted.some(([start, stop]) => start <= frame && frame < stop) ?? false;
}

export function toggleAccepted(): void {
  const { frame } = getState();
  acceptFrames(frame, frame + 1, !isAccepted(frame));
}

/** Accept the in-to-out range, or everything where there is none. */
export function acceptRange(): void {
  const { range, medium } = getState();
  if (medium) acceptFrames(range?.start ?? 0, range?.stop ?? medium.num_frames, true);
}

export const undo = (): Promise<void> => travel(api.undo, "Undone", "Nothing left to undo");
export const redo = (): Promise<void> => travel(api.redo, "Redone", "Nothing to redo");

/** Through the history, in order with all other changes; whether there is a step to go is for the server to say. */
async function travel(ask: (mid: string) => Promise<HistoryStep>, done: string, nothing: string): Promise<void> {
  const session = getSession();
  if (!session) return;
  setState({ candidates: null, hover: null });
  try {
    await session.travel(async () => {
      const step = await ask(session.medium.id);
      if (getSession() !== session) return;
      setState({ history: step });
      if (step.what === null) {
        toast(nothing);
        return;
      }
      if (step.frame_index !== null) seek(step.frame_index);
      session.masks.invalidate();
      session.masks.ensure(getState().frame);
      if (!(await takeNews(session))) refreshSoon();
      if (step.object_id !== null && getState().objects.some((one) => one.id === step.object_id)) {
        setState({ selected: step.object_id, drafting: false });
      }
      toast(`${done}: ${step.what}`);
    });
  } catch (error) {
    toastError(error);
  }
}

// Tracking.

export async function track(direction: Direction, onlyChanged = false): Promise<void> {
  const { range, job, looping } = getState();
  if (job && !api.isFinal(job)) return;
  const limits = range && !looping ? range : null;
  try {
    const started = await (getSession()?.inOrder(() =>
      api.startTracking(mediumId(), {
        direction,
        start: limits?.start ?? null,
        stop: limits?.stop ?? null,
        objects: null,
        only_changed: onlyChanged,
      }),
    ) ?? Promise.reject(new Error("no medium is open")));
    setState({ playing: false, following: true, candidates: null });
    follow(started);
  } catch (error) {
    toastError(error);
  }
}

export function cancelJob(): void {
  const { job } = getState();
  if (job && !api.isFinal(job)) void api.cancelJob(job.id).catch(toastError);
}

export function findEverything(): void {
  void api.findEverything(mediumId()).then(follow, toastError);
}

/** After a reload, go on watching what is still running. */
async function resumeJob(): Promise<void> {
  const jobs = await api.listJobs(mediumId());
  const running = jobs.find((job) => !api.isFinal(job) && (job.kind === "track" || job.kind === "everything"));
  if (running) follow(running);
}

function follow(started: Job): void {
  const session = getSession();
  if (!session) return;
  session.stopFollowing?.();
  setState({ job: started });
  const lanes = new LiveLanes();
  session.stopFollowing = api.followJob(started.id, {
    onMasks: (masks) => {
      session.masks.set(merged(session.masks.get(masks.frame_index), masks));
      lanes.add(masks);
      if (getState().following) seek(masks.frame_index, { byPlayback: true, byTracking: true });
    },
    onJob: (job) => {
      setState({ job });
      if (api.isFinal(job)) finish(job, lanes);
    },
  });
  if (api.isFinal(started)) finish(started, lanes);
}

function finish(job: Job, lanes: LiveLanes): void {
  lanes.stop();
  setState({ following: false, job: null });
  getSession()?.stopFollowing?.();
  void refreshAll();
  settle();
  const takeBack = { label: "Undo", run: () => void undo() };
  if (job.state === "failed") toastError(new Error(job.message ?? "Tracking failed."));
  else if (job.state === "cancelled")
    toast(`Stopped after ${plural(job.done, "frame")}; what was tracked is kept`, takeBack);
  else if (job.kind === "track")
    toast(job.done ? `Tracked ${plural(job.done, "frame")}` : "Nothing to track: all is up to date", takeBack);
  else toast("Found what there is to see", takeBack);
}

function merged(before: FrameMasks | undefined, fresh: FrameMasks): FrameMasks {
  if (!before) return fresh;
  const ids = new Set(fresh.objects.map((mask) => mask.object_id));
  return { ...fresh, objects: [...before.objects.filter((mask) => !ids.has(mask.object_id)), ...fresh.objects] };
}

const LETTERS = { present: "p", uncertain: "u", occluded: "o", lost: "l" } as const;

/** Fills the timeline's lanes while masks come in, a few times a second. */
class LiveLanes {
  private waiting: FrameMasks[] = [];
  private readonly timer = setInterval(() => this.flush(), 200);

  add(masks: FrameMasks): void {
    this.waiting.push(masks);
  }

  stop(): void {
    clearInterval(this.timer);
    this.flush();
  }

  private flush(): void {
    const { timeline } = getState();
    if (!timeline || !this.waiting.length) return;
    const byObject = new Map<number, { frame: number; letter: string; iou: number }[]>();
    for (const masks of this.waiting) {
      for (const mask of masks.objects) {
        const entry = {
          frame: masks.frame_index,
          letter: LETTERS[mask.status],
          iou: Math.round(mask.iou_prediction * 100),
        };
        const entries = byObject.get(mask.object_id);
        if (entries) entries.push(entry);
        else byObject.set(mask.object_id, [entry]);
      }
    }
    this.waiting = [];
    const objects: TimelineObject[] = timeline.objects.map((lane) => {
      const entries = byObject.get(lane.object_id);
      if (!entries) return lane;
      const iou = [...lane.iou];
      for (const entry of entries) iou[entry.frame] = entry.iou;
      // Only the stretch that changed is taken apart: the string may be an hour long.
      const first = Math.min(...entries.map((entry) => entry.frame));
      const last = Math.max(...entries.map((entry) => entry.frame));
      const middle = [...lane.status.slice(first, last + 1)];
      for (const entry of entries) middle[entry.frame - first] = entry.letter;
      const status = lane.status.slice(0, first) + middle.join("") + lane.status.slice(last + 1);
      return { ...lane, status, iou };
    });
    setState({ timeline: { ...timeline, objects } });
  }
}

/** How many frames a correction has made out of date. */
export function staleFrames(lanes: readonly TimelineObject[]): number {
  const stretches = lanes.flatMap((lane) => lane.stale).sort((a, b) => a[0] - b[0]);
  let count = 0;
  let counted = 0;
  for (const [start, stop] of stretches) {
    count += Math.max(0, stop - Math.max(start, counted));
    counted = Math.max(counted, stop);
  }
  return count;
}

// Importing.

export async function importMasks(format: string, files: readonly File[]): Promise<boolean> {
  try {
    const report = await getSession()?.inOrder(() => api.importMasks(mediumId(), format, files));
    if (!report) return false;
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
