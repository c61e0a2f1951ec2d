/** What belongs to the open medium and is no state to draw: caches, the decoder, what is on its way. */

import type { Medium } from "../api/types";
import { DecoderClient } from "../decoder/client";
import { FrameCache } from "../media/frames";
import { MaskCache } from "../media/masks";
import { toastError, useApp } from "../state/app";
import { setState } from "./store";

type Listener = () => void;

export class Session {
  readonly frames: FrameCache;
  readonly masks: MaskCache;
  readonly decoder: DecoderClient | null;
  stopFollowing: (() => void) | null = null;
  private readonly listeners = new Set<Listener>();
  private tail: Promise<unknown> = Promise.resolve();
  closed = false;

  constructor(readonly medium: Medium) {
    this.frames = new FrameCache(medium, () => this.changed(), toastError);
    this.masks = new MaskCache(medium.id, medium.num_frames, () => this.changed(), toastError);
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
    setState((state) => ({ saving: state.saving + 1 }));
    const result = this.tail.then(work);
    this.tail = result.catch(() => {}).finally(() => setState((state) => ({ saving: state.saving - 1 })));
    return result;
  }

  close(): void {
    this.closed = true;
    this.stopFollowing?.();
    this.frames.close();
    this.masks.close();
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
