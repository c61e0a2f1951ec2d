"""Processor time per frame for 1, 2, 4, ... objects, of several source trees next to each other.

    python benchmarks/cost_per_object.py --source before=/path/to/other/src --source after=src --repeats 3

Each run is a process of its own that tracks points on a grid through a clip. The trees take turns, so that other work
on the machine meets all of them. A figure is the median over the runs of a run's mean over frames, in milliseconds
of user time (all threads); waiting for a busy machine is not in it. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
CLIP = REPOSITORY / "examples" / "media" / "bunny.mp4"
UNTIMED = 3
"""Frames after the prompted one in which memories fill up."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--model", default="nano")
    parser.add_argument("--clip", type=Path, default=CLIP)
    parser.add_argument("--frames", type=int, default=12, help="after the prompted one; the first ones are not timed")
    parser.add_argument("--objects", type=int, nargs="+", default=[1, 2, 4, 8, 16, 32, 64])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--source", action="append", metavar="NAME=FOLDER", help="a src folder to compare")
    parser.add_argument("--precision", nargs="+", default=["auto"], help="auto, fp32, int8: each for each source")
    parser.add_argument("--one-run", type=int, nargs=2, metavar=("OBJECTS", "THREADS"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one_run:
        (precision,) = arguments.precision
        print(
            json.dumps(_milliseconds(arguments.model, precision, arguments.clip, *arguments.one_run, arguments.frames))
        )
        return
    folders = dict(item.split("=", 1) for item in arguments.source or [f"here={REPOSITORY / 'src'}"])
    sources = {
        f"{name} {precision}".removesuffix(" auto"): (Path(folder), precision)
        for name, folder in folders.items()
        for precision in arguments.precision
    }
    rows = []
    for threads in arguments.threads:
        print(f"{threads} threads, user ms a frame\n{'objects':>8}" + "".join(f"{name:>12}" for name in sources))
        for count in arguments.objects:
            runs: dict[str, list[float]] = {name: [] for name in sources}
            for _ in range(arguments.repeats):
                for name, (source, precision) in sources.items():
                    runs[name].append(_run(source, precision, arguments, count, threads))
            medians = {name: statistics.median(values) for name, values in runs.items()}
            rows.append({"threads": threads, "objects": count, **medians})
            print(f"{count:>8}" + "".join(f"{median:>12.1f}" for median in medians.values()), flush=True)
    print(json.dumps({"model": arguments.model, "frames": arguments.frames, "rows": rows}))


def _run(source: Path, precision: str, arguments: argparse.Namespace, count: int, threads: int) -> float:
    """Return the milliseconds of a run in a process of its own."""
    command = [sys.executable, __file__, "--one-run", str(count), str(threads), "--frames", str(arguments.frames)]
    command += ["--model", arguments.model, "--clip", str(arguments.clip.resolve()), "--precision", precision]
    environment = os.environ | {"PYTHONPATH": str(source.resolve()), "OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return float(done.stdout.splitlines()[-1])


def _milliseconds(model_name: str, precision: str, clip: Path, count: int, threads: int, num_frames: int) -> float:
    """Return the mean user time of a frame once memories have filled, in milliseconds."""
    import cv2
    import numpy as np

    from masklet.engine.open import open_engine
    from masklet.tracking.tracker import Tracker

    cv2.setNumThreads(threads)
    tracker = Tracker(open_engine(model_name, precision=precision, num_threads=threads), clip)
    assert tracker.source is not None
    height, width = tracker.source.info.size_hw
    columns = int(np.ceil(np.sqrt(count)))
    for row in range(count):
        x, y = (row % columns + 0.5) * width / columns, (row // columns + 0.5) * height / columns
        tracker.prompt(row + 1, 0, points_xy=[(x, y)])
    since, timed = 0.0, 0
    for masks in tracker.run(stop=num_frames + 1):
        if masks.frame_index == UNTIMED:
            since = resource.getrusage(resource.RUSAGE_SELF).ru_utime
        timed += masks.frame_index > UNTIMED
    return 1000 * (resource.getrusage(resource.RUSAGE_SELF).ru_utime - since) / timed


if __name__ == "__main__":
    main()
