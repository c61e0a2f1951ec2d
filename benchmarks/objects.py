"""Time per frame for 1, 2, 4, ... objects: in batches, and one after the other as the official code.

    python benchmarks/objects.py --model nano --frames 8

`looped` is the official video predictor's way: the image is encoded once, and attention, decoder and memory encoder
run for each object by itself. `re-run` is what its users do whose objects do not fit or come later: a pass over the
video for each object, image encoder included. The columns are seconds a frame, medians over the frames after the
prompt; on a CPU they are processor time on one thread, which other work on the machine hardly touches. Masks of
`batched` and `looped` are compared: the last column is the share of pixels on which they differ. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np

CLIP = Path(__file__).parent.parent / "examples" / "media" / "bunny.mp4"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--model", default="nano")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--clip", type=Path, default=CLIP)
    parser.add_argument("--frames", type=int, default=8, help="after the prompted one")
    parser.add_argument("--objects", type=int, nargs="+", default=[1, 2, 4, 8, 16, 32])
    arguments = parser.parse_args()

    from masklet.api import Model
    from masklet.engine.open import open_engine

    model = Model(open_engine(arguments.model, device=arguments.device, num_threads=1))
    single = seconds_a_frame(model, arguments.clip, 1, arguments.frames, at_once=16)[0]
    print(f"{model.info.name}, {model.info.backend}, {model.info.device}, {model.info.precision}; seconds a frame")
    print(f"{'objects':>8}{'batched':>10}{'looped':>10}{'re-run':>10}{'gain':>8}{'differ':>10}")
    rows = []
    for count in arguments.objects:
        batched, masks = seconds_a_frame(model, arguments.clip, count, arguments.frames, at_once=16)
        looped, others = seconds_a_frame(model, arguments.clip, count, arguments.frames, at_once=1)
        differ = float(np.mean(masks != others))
        row = {"objects": count, "batched": batched, "looped": looped, "rerun": count * single, "differ": differ}
        rows.append(row)
        gain = f"{looped / batched:.2f}x"
        print(f"{count:>8}{batched:>10.3f}{looped:>10.3f}{count * single:>10.3f}{gain:>8}{differ:>10.1e}", flush=True)
    print(json.dumps({"model": model.info.name, "backend": model.info.backend, "rows": rows}))


def seconds_a_frame(model: Any, clip: Path, count: int, num_frames: int, *, at_once: int) -> tuple[float, Any]:
    """Return the median time, and the masks of the last frame."""
    from masklet.tracking.tracker import Tracker

    tracker = Tracker(model.engine, clip, objects_at_once=at_once)
    assert tracker.source is not None
    height, width = tracker.source.info.size_hw
    columns = int(np.ceil(np.sqrt(count)))
    for row in range(count):
        x, y = (row % columns + 0.5) * width / columns, (row // columns + 0.5) * height / columns
        tracker.prompt(row + 1, 0, points_xy=[(x, y)])
    way = tracker.run(stop=num_frames + 1)
    next(way)
    clock = time.thread_time if model.info.device == "cpu" else time.perf_counter
    times, last = [], None
    while True:
        since = clock()
        masks = next(way, None)
        if masks is None:
            break
        times.append(clock() - since)
        last = masks.masks
    return statistics.median(times), last


if __name__ == "__main__":
    main()
