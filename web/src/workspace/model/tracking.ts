/** Tracking and discovery: started, followed while masks arrive, continued after a restart of the server, ended. */

import * as api from "../../api/client";
import * as discovery from "../../api/discovery";
import type { Direction, DiscoverRequest, FrameMasks, Job, TrackRequest } from "../../api/types";
import { isAnythingTracked, numUntracked } from "../../lib/coverage";
import { withFrames } from "../../lib/liveLanes";
import { isNumber, isOneOf, isWhole, readChecked, remember } from "../../lib/remembered";
import { plural } from "../../lib/text";
import type { ShownFrame } from "../../media/masks";
import { backOnline, toast, toastError } from "../../state/app";
import { undo } from "./history";
import { refreshWhenSettled, seek } from "./navigation";
import { acceptedIds, acceptOffered, closeProposals, showProposals } from "./proposals";
import { getSession, type Run, type Session } from "./session";
import { type DiscoveryOptions, getState, INITIAL, MOST_FRAMES_BETWEEN, MOST_OBJECTS, setState } from "./store";
import { refreshAll, refreshSoon, retryWhenOnline } from "./sync";

/** All frames, those that corrections have made out of date, or those that were never tracked. */
type TrackScope = "all" | "changed" | "missing";

/** Track the in-to-out range, or the whole video where there is none; while looping, the range is only for playback. */
export async function track(
  direction: Direction,
  scope: TrackScope = "all",
  objects: readonly number[] | null = null,
): Promise<void> {
  if (isBusy()) return;
  const request = {
    direction,
    ...limits(),
    objects: objects && [...objects],
    only_changed: scope === "changed",
    only_missing: scope === "missing",
  };
  await start({ kind: "track", request });
}

/** Return the in-to-out range for a run; while looping, the range is only for playback. */
function limits(): { readonly start: number | null; readonly stop: number | null } {
  const { range, looping } = getState();
  return range && !looping ? range : { start: null, stop: null };
}

/** Return whether a job is running or about to; if so, tell the user, who asked for another one. */
function isBusy(): boolean {
  const { job } = getState();
  if (!job && !getSession()?.isStarting) return false;
  toast("Something is running for this file already. Esc stops it.");
  return true;
}

/** Find objects throughout the video, or the range, and track them. */
export async function discover(): Promise<void> {
  if (isBusy()) return;
  await search({ direction: "both", ...limits(), ...getState().discoveryOptions });
}

/** Continue a search that was stopped, on the frames that it has not reached. */
export async function discoverRest(): Promise<void> {
  const rest = getState().discoveryResult?.rest;
  if (rest && !isBusy()) await search({ ...rest, ...getState().discoveryOptions });
}

async function search(request: DiscoverRequest): Promise<void> {
  setState({ discoveryResult: null });
  await start({ kind: "discover", request });
}

const optionsKey = (pid: string): string => `masklet.discovery.${pid}`;

/** Change how objects are found; this is remembered for the project. */
export function setDiscoveryOptions(changes: Partial<DiscoveryOptions>): void {
  const { discoveryOptions, medium } = getState();
  const changed = { ...discoveryOptions, ...changes };
  setState({ discoveryOptions: changed });
  if (medium) remember(optionsKey(medium.project_id), changed);
}

/** Return how objects were found last in a project; the defaults where nothing is remembered. */
export function rememberedDiscoveryOptions(pid: string): DiscoveryOptions {
  return readChecked<DiscoveryOptions>(localStorage.getItem(optionsKey(pid)), INITIAL.discoveryOptions, {
    level: isOneOf("objects", "parts", "both"),
    every: isWhole(1, MOST_FRAMES_BETWEEN),
    max_objects: isWhole(1, MOST_OBJECTS),
    min_score: isNumber(0, 1),
  });
}

export const dismissDiscoveryResult = (): void => setState({ discoveryResult: null });

/** Track, in both directions, what has not been tracked yet. */
export async function trackUntracked(): Promise<void> {
  const { timeline, range, looping } = getState();
  const untracked = timeline ? numUntracked(timeline.objects, looping ? null : range) : 0;
  if (untracked > 0 || !timeline || !isAnythingTracked(timeline.objects))
    await track("both", untracked > 0 ? "missing" : "all");
  else toast("All frames are tracked. To track them once more, press “Track all again”.");
}

/** Start a job and follow it; returns whether that worked, and reports it if not. */
async function start(run: Run): Promise<boolean> {
  const session = getSession();
  if (!session) return false;
  const { id: mid } = session.medium;
  const key = api.newKey();
  const submit = () =>
    run.kind === "track" ? api.startTracking(mid, run.request, key) : discovery.discover(mid, run.request, key);
  session.isStarting = true;
  try {
    const job = await session.enqueue(() => retryWhenOnline(submit));
    session.lastRun = run;
    if (getSession() !== session) return false; // the job runs, and is found when its medium is opened again
    followTracking();
    setState({ playing: false, candidates: null });
    closeProposals();
    follow(session, job);
    return true;
  } catch (error) {
    toastError(error);
    return false;
  } finally {
    session.isStarting = false;
  }
}

/** Continue after a lost connection: a restarted server has stopped its jobs. */
export async function resumeTracking(): Promise<void> {
  const session = getSession();
  const { job } = getState();
  if (!session || !job || !isRun(job)) return watchRunningJob();
  if (api.isFinal(job)) return; // it is being finished already: following it again would report its end twice
  const current = (await api.listJobs(session.medium.id)).find((other) => other.id === job.id);
  if (!current || current.interrupted) await restart(session, job);
  else follow(session, current);
}

/** Return whether a job goes through the video, and stores masks. */
const isRun = ({ kind }: Job): boolean => kind === "track" || kind === "discover";

/**
 * Continue a run after the server has ended in the middle of it.
 *
 * Tracking goes on with what is missing. A search begins again, and follows what it has found rather than find it
 * again; one that this page has not started is not repeated, since its options are not known.
 */
async function restart(session: Session, { kind }: Job): Promise<void> {
  session.stopFollowing?.();
  setState({ job: null });
  await backOnline();
  if (getSession() !== session) return;
  await refreshAll();
  const run = session.lastRun?.kind === kind ? session.lastRun : null;
  if (kind === "discover") {
    if (!run) toastError(new Error("The server was restarted, so the search has ended. What it has found is kept."));
    else if (await start(run)) toast("The server was restarted: the search goes through the video again");
    return;
  }
  const request = run?.kind === "track" ? run.request : TRACK_ALL;
  if (await start({ kind: "track", request: { ...request, only_missing: !request.only_changed } }))
    toast("The server was restarted: tracking continues where it stopped");
}

const TRACK_ALL: TrackRequest = {
  direction: "both",
  start: null,
  stop: null,
  objects: null,
  only_changed: false,
  only_missing: false,
};

export function cancelJob(): void {
  const { job } = getState();
  if (job && !api.isFinal(job)) void api.cancelJob(job.id).catch(toastError);
}

/** Propose all objects of the shown frame. */
export async function findProposals(): Promise<void> {
  const session = getSession();
  const { frame } = getState();
  if (!session || isBusy()) return;
  closeProposals();
  setState({ playing: false });
  session.isStarting = true;
  try {
    // What is an object already is not proposed again: the server must know of it first.
    follow(session, await session.enqueue(() => discovery.findProposals(session.medium.id, frame)));
  } catch (error) {
    toastError(error);
  } finally {
    session.isStarting = false;
  }
}

/** Accept the proposals that are shown, and track all objects made of proposals. */
export async function acceptAndTrack(): Promise<void> {
  await acceptOffered();
  const { proposals } = getState();
  const ids = proposals ? acceptedIds(proposals) : [];
  if (ids.length) await track("both", "all", ids);
}

const TITLES: Partial<Record<Job["kind"], string>> = {
  track: "Tracking",
  discover: "The search",
  propose: "The search",
};

const capitalised = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

/** Show each frame as it is tracked. */
export function followTracking(): void {
  const session = getSession();
  const { following, frame } = getState();
  // A run that is continued after a restart of the server began elsewhere.
  if (session && !following) session.frameBeforeTracking = frame;
  setState({ following: true });
}

/** Follow the medium's job if one is still running, as after a reload. */
export async function watchRunningJob(): Promise<void> {
  const session = getSession();
  if (!session) return;
  const jobs = await api.listJobs(session.medium.id);
  const running = jobs.find((job) => !api.isFinal(job) && (isRun(job) || job.kind === "propose"));
  if (running) follow(session, running);
}

/** Follow a job of the open medium; a job of another medium runs without being shown. */
function follow(session: Session, started: Job): void {
  if (getSession() !== session) return;
  session.stopFollowing?.();
  setState({ job: started });
  const lanes = new LaneUpdates();
  const announced = new Set<number>();
  session.stopFollowing = api.followJob(started.id, {
    onMasks: (masks) => {
      const merged = mergeMasks(session.masks.get(masks.frame_index), masks);
      session.masks.set(merged);
      lanes.add(merged);
      showNewObjects(session, masks, announced);
      if (getState().following) seek(masks.frame_index, { byPlayback: true, byTracking: true });
    },
    onJob: (told) => {
      const job = { ...told, kind: started.kind };
      setState({ job });
      if (!api.isFinal(job)) return;
      if (!job.interrupted || !isRun(job)) return void finish(session, job, lanes);
      lanes.stop();
      restart(session, job).catch(toastError);
    },
  });
  if (api.isFinal(started)) void finish(session, started, lanes);
}

/** Fetch objects that a run has found, which also have masks on earlier frames. */
function showNewObjects(session: Session, { objects }: FrameMasks, announced: Set<number>): void {
  const { objects: listed, frame } = getState();
  const ids = objects.map((mask) => mask.object_id);
  const fresh = ids.filter((id) => !announced.has(id) && !listed.some((object) => object.id === id));
  if (!fresh.length) return;
  for (const id of fresh) announced.add(id);
  session.masks.invalidate();
  session.masks.ensure(frame);
  refreshSoon();
}

async function finish(session: Session, job: Job, lanes: LaneUpdates): Promise<void> {
  lanes.stop();
  session.stopFollowing?.();
  const { following } = getState();
  // Who stopped the run saw something on the frame that is shown.
  if (following && job.state !== "cancelled" && session.frameBeforeTracking !== null) seek(session.frameBeforeTracking);
  setState({ following: false });
  // The job is shown until the lanes are complete: some of its masks may not have arrived here.
  if (isRun(job)) await refreshAll();
  else if (job.state === "done") await showProposals(session, job);
  if (getSession() !== session) return;
  setState({ job: null });
  refreshWhenSettled();
  const undoAction = { label: "Undo", run: () => void undo() };
  if (job.state === "failed") toastError(new Error(job.message ?? `${TITLES[job.kind] ?? "The job"} failed.`));
  else if (job.kind === "propose") return;
  else if (job.kind === "discover") {
    const result = job.message ?? "nothing was found";
    const isStopped = job.state === "cancelled";
    const rest = isStopped ? restOf(session.lastRun, job) : null;
    setState({ discoveryResult: { text: isStopped ? `Stopped: ${result}` : capitalised(result), rest } });
    toast(isStopped ? `Stopped after ${plural(job.done, "frame")}: ${result}` : capitalised(result), undoAction);
  } else if (job.state === "cancelled")
    toast(`Stopped after ${plural(job.done, "frame")}; tracked frames are kept`, undoAction);
  else
    toast(job.done ? `Tracked ${plural(job.done, "frame")}` : "Nothing to track: all masks are up to date", undoAction);
}

/** Return what is left of a stopped search; null once it was following late objects back, or if it is not known. */
function restOf(run: Run | null, { done }: Job): DiscoverRequest | null {
  const { medium } = getState();
  if (run?.kind !== "discover" || !medium) return null;
  const next = (run.request.start ?? 0) + done;
  return next < (run.request.stop ?? medium.num_frames) ? { ...run.request, start: next } : null;
}

/** Add the masks of some objects to those that a frame already has. */
function mergeMasks(before: ShownFrame | undefined, fresh: FrameMasks): ShownFrame {
  if (!before) return fresh;
  const ids = new Set(fresh.objects.map((mask) => mask.object_id));
  return { ...fresh, objects: [...before.objects.filter((mask) => !ids.has(mask.object_id)), ...fresh.objects] };
}

/** Updates the timeline's lanes while masks arrive, a few times per second. */
class LaneUpdates {
  private waiting: ShownFrame[] = [];
  private readonly timer = setInterval(() => this.flush(), 200);

  add(masks: ShownFrame): void {
    this.waiting.push(masks);
  }

  stop(): void {
    clearInterval(this.timer);
    this.flush();
  }

  private flush(): void {
    const { timeline } = getState();
    if (!timeline || !this.waiting.length) return;
    setState({ timeline: withFrames(timeline, this.waiting) });
    this.waiting = [];
  }
}
