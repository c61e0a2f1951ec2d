/** Tracking: started, followed as it goes, ended. */

import * as api from "../api/client";
import type { Direction, FrameMasks, Job, TimelineObject } from "../api/types";
import { plural } from "../lib/text";
import { toast, toastError } from "../state/app";
import { undo } from "./history";
import { seek, settle } from "./places";
import { getSession } from "./session";
import { getState, setState } from "./store";
import { mediumId, refreshAll } from "./sync";

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
export async function resumeJob(): Promise<void> {
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
