/** Tracking: started, followed as it goes, ended. */

import * as api from "../api/client";
import type { Direction, FrameMasks, Job, TimelineObject, TrackRequest } from "../api/types";
import { withFrames } from "../lib/liveLanes";
import { plural } from "../lib/text";
import { backOnline, toast, toastError } from "../state/app";
import { undo } from "./history";
import { seek, settle } from "./places";
import { getSession, type Session } from "./session";
import { getState, type Range, setState } from "./store";
import { refreshAll } from "./sync";

/** All frames, those that corrections have outdated, or those that no run has come to. */
export type What = "all" | "changed" | "missing";

export async function track(direction: Direction, what: What = "all"): Promise<void> {
  const { range, job, looping } = getState();
  if (job && !api.isFinal(job)) return;
  const limits = range && !looping ? range : null;
  await start({
    direction,
    start: limits?.start ?? null,
    stop: limits?.stop ?? null,
    objects: null,
    only_changed: what === "changed",
    only_missing: what === "missing",
  });
}

/** Returns whether it has begun and is followed; says so if it has not. */
async function start(request: TrackRequest): Promise<boolean> {
  const session = getSession();
  if (!session) return false;
  try {
    const started = await session.inOrder(() => api.startTracking(session.medium.id, request));
    session.tracked = request;
    if (getSession() !== session) return false; // it goes on there, for whoever comes back
    setState({ playing: false, following: true, candidates: null });
    follow(session, started);
    return true;
  } catch (error) {
    toastError(error);
    return false;
  }
}

/** The server has come back, perhaps as another process: then what it was tracking has stopped, and goes on. */
export async function goOn(): Promise<void> {
  const session = getSession();
  const { job } = getState();
  if (!session || job?.kind !== "track") return resumeJob();
  const now = (await api.listJobs(session.medium.id)).find((one) => one.id === job.id);
  if (!now || now.interrupted) await restart(session);
  else follow(session, now);
}

/** Track on after the server has ended in the middle. */
async function restart(session: Session): Promise<void> {
  session.stopFollowing?.();
  setState({ job: null });
  await backOnline();
  if (getSession() !== session) return;
  await refreshAll();
  const { tracked } = session;
  const goesOn = await start({ ...(tracked ?? EVERYTHING), only_missing: !tracked?.only_changed });
  if (goesOn) toast("The server was restarted: tracking goes on from where it was");
}

const EVERYTHING: TrackRequest = {
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

export function findEverything(): void {
  const session = getSession();
  if (session) void api.findEverything(session.medium.id).then((started) => follow(session, started), toastError);
}

/** After a reload, go on watching what is still running. */
export async function resumeJob(): Promise<void> {
  const session = getSession();
  if (!session) return;
  const jobs = await api.listJobs(session.medium.id);
  const running = jobs.find((job) => !api.isFinal(job) && (job.kind === "track" || job.kind === "everything"));
  if (running) follow(session, running);
}

/** Watch a job of the medium that is open; one of another medium runs on unseen. */
function follow(session: Session, started: Job): void {
  if (getSession() !== session) return;
  session.stopFollowing?.();
  setState({ job: started });
  const lanes = new LiveLanes();
  session.stopFollowing = api.followJob(started.id, {
    onMasks: (masks) => {
      const all = merged(session.masks.get(masks.frame_index), masks);
      session.masks.set(all);
      lanes.add(all);
      if (getState().following) seek(masks.frame_index, { byPlayback: true, byTracking: true });
    },
    onJob: (job) => {
      setState({ job });
      if (!api.isFinal(job)) return;
      if (!job.interrupted || job.kind !== "track") return finish(job, lanes);
      lanes.stop();
      restart(session).catch(toastError);
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
    setState({ timeline: withFrames(timeline, this.waiting) });
    this.waiting = [];
  }
}

/** Of the range that would be tracked, how many frames no run has come to yet; 0 before the first run. */
export function missingFrames(): number {
  const { timeline, range, looping } = getState();
  return timeline ? missingOf(timeline.objects, looping ? null : range) : 0;
}

export function missingOf(lanes: readonly TimelineObject[], limits: Range | null): number {
  if (!isTrackedAtAll(lanes)) return 0;
  const missing = (lane: TimelineObject) =>
    limits
      ? [...lane.status.slice(limits.start, limits.stop)].filter((letter) => letter === ".").length
      : lane.status.length - countKnown(lane);
  return lanes.filter((lane) => lane.prompted.length).reduce((most, lane) => Math.max(most, missing(lane)), 0);
}

export const isTrackedAtAll = (lanes: readonly TimelineObject[]): boolean =>
  lanes.some((lane) => countKnown(lane) > lane.prompted.length);

const known = new WeakMap<TimelineObject, number>();
function countKnown(lane: TimelineObject): number {
  let count = known.get(lane);
  if (count === undefined) {
    count = 0;
    for (let i = 0; i < lane.status.length; i++) if (lane.status[i] !== ".") count++;
    known.set(lane, count);
  }
  return count;
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
