/** What belongs to the open medium and is no state to draw: caches, the decoder, what is on its way. */

import type { FrameMasks, Medium, TrackRequest } from "../api/types";
import { DecoderClient } from "../decoder/client";
import type { DecodeRequest } from "../decoder/protocol";
import { FrameCache } from "../media/frames";
import { MaskCache } from "../media/masks";
import { toastError, useApp } from "../state/app";
import { setState } from "./store";

type Listener = () => void;

/** Changes of all media that have not been answered, also of those that are closed. */
let unsaved = 0;
window.addEventListener("beforeunload", (event) => {
  if (unsaved > 0) event.preventDefault();
});

export class Session {
  readonly frames: FrameCache;
  readonly masks: MaskCache;
  /** To compare with. */
  readonly earlier: MaskCache;
  readonly decoder: DecoderClient | null;
  stopFollowing: (() => void) | null = null;
  /** What tracking was asked for last: to go on with it when the server comes back. */
  tracked: TrackRequest | null = null;
  private readonly listeners = new Set<Listener>();
  private tail: Promise<unknown> = Promise.resolve();
  /** Changes that have not been answered, the one that is at work among them. */
  waiting = 0;
  /** Grows when a change is made and when it has been answered: what was asked before says nothing after. */
  changes = 0;
  /** By frame and object, what the decoder was asked last: what the next click adds to. */
  readonly said = new Map<string, DecodeRequest>();
  /** Places (as in `said`) whose masks the server is working out: what is shown is not what the next edit meets. */
  private readonly awaited = new Set<string>();
  private readonly realIds = new Map<number, number>();
  private readonly turns = new Map<number, number>();
  /** An undo or redo has been asked for, and what it leads to has not been shown yet. */
  isBehind = false;
  closed = false;

  constructor(readonly medium: Medium) {
    this.frames = new FrameCache(medium, () => this.changed(), toastError);
    this.masks = new MaskCache(medium.id, medium.num_frames, () => this.changed(), toastError);
    this.earlier = new MaskCache(medium.id, medium.num_frames, () => this.changed(), toastError, true);
    this.decoder = useApp.getState().info?.model.has_graphs
      ? new DecoderClient((decoder) => {
          if (!this.closed) setState({ decoder });
        })
      : null;
    this.decoder?.open().catch(() => setState({ decoder: { state: "failed", backend: null } }));
  }

  /** Be told when a frame or masks have come in. */
  subscribe(listener: Listener): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  changed(): void {
    for (const listener of this.listeners) listener();
  }

  /** Changes go to the server one after the other, in the order in which they were made. */
  inOrder<T>(work: () => Promise<T>): Promise<T> {
    this.count(1);
    const result = this.tail.then(work);
    this.tail = result.catch(() => {}).finally(() => this.count(-1));
    return result;
  }

  private count(by: 1 | -1): void {
    this.waiting += by;
    unsaved += by;
    this.changes++;
    if (this.waiting === 0) this.awaited.clear();
    if (!this.closed) setState({ saving: this.waiting });
  }

  /** The server has named an object that was made here. */
  exchange(temporary: number, real: number): void {
    this.realIds.set(temporary, real);
    for (const [place, request] of this.said) {
      const [frame, id] = place.split("/");
      if (Number(id) === temporary) this.said.set(`${frame}/${real}`, request);
    }
    for (const place of this.awaited) {
      const [frame, id] = place.split("/");
      if (Number(id) === temporary) this.awaited.add(`${frame}/${real}`);
    }
  }

  /** What a change makes of a mask is for the server to say. */
  awaitMask(frame: number, objectId: number): void {
    this.awaited.add(`${frame}/${objectId}`);
  }

  isAwaited(frame: number, objectId: number): boolean {
    return this.awaited.has(`${frame}/${objectId}`);
  }

  /** The page has an object's mask as the server will have it. */
  settle(frame: number, objectId: number): void {
    this.awaited.delete(`${frame}/${objectId}`);
  }

  /** The server has answered the last change that was made on a frame. */
  showAnswer(masks: FrameMasks): void {
    this.masks.set(masks);
    this.settleFrame(masks.frame_index);
  }

  settleFrame(frame: number): void {
    for (const place of this.awaited) if (place.startsWith(`${frame}/`)) this.awaited.delete(place);
  }

  /** The server's id of an object: known once the turn of a change has come, unless the object could not be made. */
  realId(id: number): number {
    const real = this.realIdSoFar(id);
    if (real < 0) throw new DOMException("the object could not be made, and that was said", "AbortError");
    return real;
  }

  realIdSoFar(id: number): number {
    return this.realIds.get(id) ?? id;
  }

  /** Of several changes of one frame that are on their way, only the last one's answer is shown. */
  newTurn(frame: number): number {
    const turn = (this.turns.get(frame) ?? 0) + 1;
    this.turns.set(frame, turn);
    return turn;
  }

  isLastTurn(frame: number, turn: number): boolean {
    return this.turns.get(frame) === turn;
  }

  /** When nothing is on its way any more. */
  async idle(): Promise<void> {
    while (this.waiting) await this.tail;
  }

  close(): void {
    this.closed = true;
    this.stopFollowing?.();
    this.frames.close();
    this.masks.close();
    this.earlier.close();
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
