"""Does a server that runs for long hold more and more? Memory, threads and descriptors over many cycles of work.

    python -m benchmarks.soak                        1,000 cycles, an engine that answers at once
    python -m benchmarks.soak --cycles 200 --model nano

A cycle opens one of several clips, sets a prompt, tracks, fetches frames, exports and undoes; every 50th uploads a clip
and deletes another. The server is a process of its own, measured from outside (Linux). The first tenth is the
warm-up. Passed: the same number of threads, no more descriptors, and less than 5 % more memory (median of the last
tenth against the first tenth after the warm-up). Exit status 1 otherwise.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import numpy as np

from benchmarks.serving import Served, Usage, machine, server, table
from masklet.media.images import write_image
from masklet.server.client import Medium, StudioError

FRAMES, SIZE_HW = 6, (96, 128)
CLIPS = 10
"""More than a server keeps open."""

UPLOAD_EVERY = 50
MOST_GROWTH = 0.05


def write_frames(folder: Path) -> list[Path]:
    random = np.random.default_rng(0)
    return [
        write_image(folder / f"{index:03d}.png", random.integers(0, 255, (*SIZE_HW, 3), np.uint8))
        for index in range(FRAMES)
    ]


def work(served: Served, project: str, clips: list[Medium], frames: list[Path], number: int, out: Path) -> None:
    """Do one cycle."""
    studio = served.studio
    if number % UPLOAD_EVERY == 0:
        old = clips.pop(0)
        studio.call("DELETE", f"/media/{old.id}")
        clips += studio.upload(project, *frames, as_sequence=True)
    clip = clips[number % len(clips)]
    clip.prompt(1, number % FRAMES, points_xy=[(number % 100 + 5, 40)])
    for _ in clip.track():
        pass
    clip.frame(number % FRAMES, 64 + 16 * (number % 5))
    clip.masks()
    clip.export("coco", out / "masks.json")
    (out / "masks.json").unlink()
    clip.undo()
    with suppress(StudioError):  # errors must not leak either
        clip.prompt(999, 0, points_xy=[(1, 1)])


def measure(cycles: int, model: str) -> list[Usage]:
    """Return what the server held after each hundredth of the cycles."""
    every = max(1, cycles // 100)
    samples = []
    with tempfile.TemporaryDirectory() as folder, server(Path(folder) / "data", model) as served:
        frames = write_frames(Path(folder) / "frames")
        project = served.studio.create_project("Soak")
        clips = [served.studio.upload(project, *frames, as_sequence=True)[0] for _ in range(CLIPS)]
        for clip in clips:
            clip.create_object("soaked")
        for number in range(1, cycles + 1):
            work(served, project, clips, frames, number, Path(folder))
            if number % UPLOAD_EVERY == 0:
                clips[-1].create_object("soaked")
            if number % every == 0:
                samples.append(served.usage)
    return samples


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cycles", type=int, default=1000)
    parser.add_argument("--model", default="fake", help="a model, or fake (default)")
    options = parser.parse_args()
    since = time.perf_counter()
    samples = measure(options.cycles, options.model)
    tenth = max(1, len(samples) // 10)
    settled, last = samples[tenth : 2 * tenth], samples[-tenth:]

    def medians(part: list[Usage]) -> list[float]:
        return [statistics.median(getattr(usage, name) for usage in part) for name in Usage.__slots__]

    before, after = medians(settled), medians(last)
    growth = after[0] / before[0] - 1
    print(f"{options.cycles} cycles with {options.model} in {time.perf_counter() - since:.0f} s, {machine()}")
    rows: list[tuple[object, ...]] = [
        (title, f"{first:.0f}", f"{second:.0f}")
        for title, first, second in zip(("memory (RSS), MB", "threads", "descriptors"), before, after, strict=True)
    ]
    print(table(("", "after the warm-up", "at the end"), rows))
    print(f"memory grew by {growth:+.1%}")
    print(json.dumps({"cycles": options.cycles, "before": before, "after": after, "growth": round(growth, 4)}))
    if growth > MOST_GROWTH or after[1] > before[1] or after[2] > before[2]:
        sys.exit("error: the server holds more than before")


if __name__ == "__main__":
    main()
