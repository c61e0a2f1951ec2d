/** Plays at the video's own speed while frames arrive in time, and waits for those that do not. */

import * as actions from "../model/actions";
import type { Session } from "../model/session";
import { getState } from "../model/store";
import type { Stage } from "./stage";

const AHEAD = 24;
const AROUND = 6;

export class Playback {
  private animation = 0;
  private anchorTime = 0;
  private anchorFrame = 0;

  constructor(
    private readonly session: Session,
    private readonly stage: Stage,
  ) {}

  /** Fetch the shown frame, then its neighbours; while playing, those ahead. */
  prefetch(): void {
    const { frame, playing, range, looping } = getState();
    const { num_frames } = this.session.medium;
    const frames = [frame];
    if (playing) {
      const stop = looping && range ? range.stop : num_frames;
      for (let ahead = 1; ahead <= AHEAD && frame + ahead < stop; ahead++) frames.push(frame + ahead);
    } else {
      for (let near = 1; near <= AROUND; near++) frames.push(frame + near, frame - near);
    }
    const inside = frames.filter((index) => index >= 0 && index < num_frames);
    this.session.frames.want(inside, this.stage.frameWidth());
  }

  /** Start or stop as `playing` says. */
  update(): void {
    cancelAnimationFrame(this.animation);
    this.animation = 0;
    if (!getState().playing) return;
    this.anchor();
    this.animation = requestAnimationFrame(this.tick);
  }

  close(): void {
    cancelAnimationFrame(this.animation);
  }

  private anchor(): void {
    this.anchorTime = performance.now();
    this.anchorFrame = getState().frame;
  }

  private readonly tick = (): void => {
    const { playing, frame, range, looping } = getState();
    if (!playing) return;
    const { num_frames, fps } = this.session.medium;
    const first = looping && range ? range.start : 0;
    const stop = looping && range ? range.stop : num_frames;
    const due = this.anchorFrame + Math.floor(((performance.now() - this.anchorTime) / 1000) * fps);
    if (due > frame) {
      if (due >= stop) {
        if (!looping) {
          actions.stopPlayingAt(stop - 1);
          return;
        }
        actions.seek(first, { byPlayback: true });
        this.anchor();
      } else if (this.session.frames.get(due, this.stage.frameWidth())) {
        actions.seek(due, { byPlayback: true });
      } else if (this.session.frames.get(frame + 1, this.stage.frameWidth())) {
        // Behind: show the next frame and continue from it.
        actions.seek(frame + 1, { byPlayback: true });
        this.anchor();
      } else {
        this.anchor();
      }
    }
    this.animation = requestAnimationFrame(this.tick);
  };
}
