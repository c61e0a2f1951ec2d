"""Frames per second from a file to a file, with decoding and writing in threads of their own and one after the other.

    python benchmarks/pipeline.py --frames 60 --rounds 3

Both take turns over the same clip, prompt and outputs (an overlay with the audio's place, and COCO); both runs
of a round write the same. `threads` are the model's: decoding ahead and writing need a core beside it to be of use.
Figures are medians of wall time, so the machine must be quiet; the last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

CLIP = Path(__file__).parent.parent / "examples" / "media" / "bunny.mp4"
BOX_XYXY = (160, 70, 335, 300)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--model", default="nano")
    parser.add_argument("--clip", type=Path, default=CLIP)
    parser.add_argument("--box", type=float, nargs=4, default=BOX_XYXY)
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    arguments = parser.parse_args()

    from masklet.engine.open import open_engine

    rows = []
    for threads in arguments.threads:
        engine = open_engine(arguments.model, num_threads=threads)
        seconds: dict[bool, list[float]] = {True: [], False: []}
        for turn in range(arguments.rounds + 1):
            for aside in seconds:
                taken = run(engine, arguments.clip, arguments.box, arguments.frames, aside=aside)
                if turn:  # the first round warms up
                    seconds[aside].append(taken)
        aside, in_turn = (arguments.frames / statistics.median(seconds[one]) for one in (True, False))
        rows.append({"threads": threads, "aside": round(aside, 2), "in_turn": round(in_turn, 2)})
        print(
            f"{threads} threads of the model: {aside:.1f} frames/s with decoding and writing aside, {in_turn:.1f} one "
            f"after the other: {aside / in_turn:.2f}x",
            flush=True,
        )
    print(json.dumps({"model": arguments.model, "frames": arguments.frames, "rows": rows}))


def run(engine: Any, clip: Path, box_xyxy: Any, count: int, *, aside: bool) -> float:
    """Seconds for so many frames, from the file to the outputs."""
    from masklet.formats import open_streams
    from masklet.media.source import open_source
    from masklet.tracking.tracker import Tracker

    with tempfile.TemporaryDirectory() as folder, open_source(clip) as source:
        if not aside:
            source.frames = lambda start=0, stop=None, step=1: source._read(start, stop, step)  # type: ignore
        since = time.perf_counter()
        tracker = Tracker(engine, source)
        tracker.prompt(1, 0, box_xyxy=box_xyxy)
        with open_streams(Path(folder), ["overlay", "coco"], source) as streams:
            if not aside:
                streams.write = streams.write_now  # type: ignore
            for masks in tracker.run(stop=count):
                assert tracker.frame is not None
                streams.write(tracker.frame, masks)
        return time.perf_counter() - since


if __name__ == "__main__":
    main()
