/** The parts of the open medium that are not state to draw: caches, the decoder, the queue of changes to the server. */

import type { DiscoverRequest, FrameMasks, Medium, TrackRequest } from "../../api/types";
import { DecoderClient } from "../../decoder/client";
import type { DecodeRequest } from "../../decoder/protocol";
import { FrameCache } from "../../media/frames";
import { MaskCache } from "../../media/masks";
import { toastError, useApp } from "../../state/app";
import { setState } from "./store";

type Listener = () => void;

/** Unanswered changes of all media, closed ones included. */
let numUnsaved = 0;
window.addEventListener("beforeunload", (event) => {
  if (numUnsaved > 0) event.preventDefault();
});

/** Key of one object on one frame. */
const keyOf = (frame: number, objectId: number | null): string => `${frame}/${objectId}`;

/** A run through the video, as it was asked for. */
export type Run =
  | { readonly kind: "track"; readonly request: TrackRequest }
  | { readonly kind: "discover"; readonly request: DiscoverRequest };

export class Session {
  readonly frames: FrameCache;
  readonly masks: MaskCache;
  /** Each mask as it was before its last change, for comparison. */
  readonly earlierMasks: MaskCache;
  readonly decoder: DecoderClient | null;
  stopFollowing: (() => void) | null = null;
  /** The frame that was shown when tracking began to show its own. */
  frameBeforeTracking: number | null = null;
  /** The last run, to continue it when the server comes back. */
  lastRun: Run | null = null;
  /** A run has been asked for, and the server has not answered. */
  isStarting = false;
  private readonly listeners = new Set<Listener>();
  private lastChange: Promise<unknown> = Promise.resolve();
  /** Unanswered changes, the one being sent included. */
  numWaiting = 0;
  /** Grows when a change is made and when it is answered: an answer to a question asked at a smaller count is outdated. */
  changeCount = 0;
  /** An undo or redo has been requested, and its result is not shown yet. */
  isUndoPending = false;
  closed = false;
  private readonly decodeRequests = new Map<string, DecodeRequest>();
  /** Objects on frames whose masks the server is computing: the next edit will change a mask that is not shown yet. */
  private readonly awaitedMasks = new Set<string>();
  private readonly realIds = new Map<number, number>();
  /** Number of the last change of each frame, and of each object on it. */
  private readonly versions = new Map<number, number>();
  private readonly objectVersions = new Map<string, number>();

  constructor(readonly medium: Medium) {
    this.frames = new FrameCache(medium, () => this.notify(), toastError);
    this.masks = new MaskCache(medium.id, medium.num_frames, () => this.notify(), toastError);
    this.earlierMasks = new MaskCache(medium.id, medium.num_frames, () => this.notify(), toastError, true);
    this.decoder = useApp.getState().info?.model.has_graphs
      ? new DecoderClient((decoder) => {
          if (!this.closed) setState({ decoder });
        })
      : null;
    this.decoder?.open().catch(() => setState({ decoder: { state: "failed", backend: null } }));
  }

  /** Call the listener when a frame or masks have arrived. */
  subscribe(listener: Listener): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  private notify(): void {
    for (const listener of this.listeners) listener();
  }

  // Changes.

  /** Send a change after all earlier ones have been answered. */
  enqueue<T>(work: () => Promise<T>): Promise<T> {
    this.count(1);
    const result = this.lastChange.then(work);
    this.lastChange = result.catch(() => {}).finally(() => this.count(-1));
    return result;
  }

  private count(by: 1 | -1): void {
    this.numWaiting += by;
    numUnsaved += by;
    this.changeCount++;
    if (this.numWaiting === 0) this.awaitedMasks.clear();
    if (!this.closed) setState({ saving: this.numWaiting });
  }

  /** Resolve when no change is waiting. */
  async idle(): Promise<void> {
    while (this.numWaiting) await this.lastChange;
  }

  /** Number a change of a frame: of several unanswered ones, only the answer to the last is shown. */
  newVersion(frame: number, objectId: number | null): number {
    const version = (this.versions.get(frame) ?? 0) + 1;
    this.versions.set(frame, version);
    this.objectVersions.set(keyOf(frame, objectId), version);
    return version;
  }

  isLatest(frame: number, version: number): boolean {
    return this.versions.get(frame) === version;
  }

  /** Return whether a change is the last one of an object on a frame: others of the frame may be newer. */
  isLatestOf(frame: number, objectId: number, version: number): boolean {
    return this.objectVersions.get(keyOf(frame, this.realIdIfKnown(objectId))) === version;
  }

  // What the page's decoder was asked.

  /** The last request to the decoder for an object on a frame: further clicks add to it. */
  decodeRequest(frame: number, objectId: number | null): DecodeRequest | null {
    return this.decodeRequests.get(keyOf(frame, objectId)) ?? null;
  }

  rememberDecodeRequest(frame: number, objectId: number, request: DecodeRequest): void {
    this.decodeRequests.set(keyOf(frame, objectId), request);
  }

  /** After undo or redo: a new object may get the number of one that is gone. */
  forgetDecodeRequests(): void {
    this.decodeRequests.clear();
  }

  // Masks that the server is computing.

  awaitMask(frame: number, objectId: number): void {
    this.awaitedMasks.add(keyOf(frame, objectId));
  }

  isMaskAwaited(frame: number, objectId: number): boolean {
    return this.awaitedMasks.has(keyOf(frame, objectId));
  }

  /** The page has the object's mask as the server will keep it. */
  resolveMask(frame: number, objectId: number): void {
    this.awaitedMasks.delete(keyOf(frame, objectId));
  }

  resolveFrame(frame: number): void {
    for (const key of this.awaitedMasks) if (key.startsWith(`${frame}/`)) this.awaitedMasks.delete(key);
  }

  /** Show the server's answer to the last change of a frame. */
  showAnswer(masks: FrameMasks): void {
    this.masks.set(masks);
    this.resolveFrame(masks.frame_index);
  }

  // Ids. Objects made here have temporary ids below 0 until the server has created them.

  replaceId(temporary: number, real: number): void {
    this.realIds.set(temporary, real);
    for (const [key, request] of this.decodeRequests) {
      const [frame, id] = key.split("/");
      if (Number(id) === temporary) this.decodeRequests.set(`${frame}/${real}`, request);
    }
    for (const [key, version] of this.objectVersions) {
      const [frame, id] = key.split("/");
      if (Number(id) === temporary) this.objectVersions.set(`${frame}/${real}`, version);
    }
    for (const key of this.awaitedMasks) {
      const [frame, id] = key.split("/");
      if (Number(id) === temporary) this.awaitedMasks.add(`${frame}/${real}`);
    }
  }

  /**
   * Return the server's id of an object; known once a change behind its creation is sent.
   *
   * @throws AbortError if the object could not be created; that was reported then.
   */
  realId(id: number): number {
    const real = this.realIdIfKnown(id);
    if (real < 0) throw new DOMException("the object could not be created", "AbortError");
    return real;
  }

  realIdIfKnown(id: number): number {
    return this.realIds.get(id) ?? id;
  }

  close(): void {
    this.closed = true;
    this.stopFollowing?.();
    this.frames.close();
    this.masks.close();
    this.earlierMasks.close();
    this.decoder?.close();
    this.listeners.clear();
  }
}

let current: Session | null = null;

export const getSession = (): Session | null => current;

export function setSession(session: Session | null): void {
  current?.close();
  current = session;
}
