"""Does memory grow with the video? Peak memory (RSS) of a short and a long run over the same looped clip, side by side.

    python benchmarks/constant_memory.py                                  # nano, 100 and 1,000 frames, Python and CLI
    python benchmarks/constant_memory.py --frames 500 5000 --engine fake  # everything but the model, in a minute
    python benchmarks/constant_memory.py --frames 300 3000 --engine fake --how discover  # 20 objects

Each run is a process of its own. The clip is played in a loop; two objects are boxed on the first frame; results go
to disk as they come (COCO JSON and the tracker's own store). `--engine fake` puts random arrays of nano's sizes in
place of the model's answers: memory is held and dropped as with the model, in a fraction of the time. Printed is the
peak, and in brackets the median of the second half of the run: decoded frames wait in queues, which fill or not as the
machine is busy, and the longer a run, the likelier they are all full once. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np

CLIP = Path(__file__).parent.parent / "examples" / "media" / "bunny.mp4"
BOXES = ((0.18, 0.13, 0.39, 0.62), (0.02, 0.04, 0.14, 0.25))
"""Left, top, right and bottom, in parts of the frame."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--frames", type=int, nargs=2, default=(100, 1000), metavar=("SHORT", "LONG"))
    parser.add_argument("--clip", type=Path, default=CLIP)
    parser.add_argument("--engine", default="nano", help="a model, or fake")
    parser.add_argument("--threads", type=int, default=0, help="of the model; 0: as many as there are cores")
    parser.add_argument("--how", nargs="+", default=["python", "cli"], choices=list(HOW))
    parser.add_argument("--one", choices=list(HOW), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        engine = engine_of(arguments.engine, arguments.threads)
        print(json.dumps(measure(arguments.one, arguments.clip, arguments.frames[0], engine)))
        return
    rows = []
    for how in arguments.how:
        short, long = (in_a_process(how, count, arguments) for count in arguments.frames)
        peak, settled = (long[key] / short[key] - 1 for key in ("peak_mb", "settled_mb"))
        growth = {"peak_growth": round(peak, 4), "settled_growth": round(settled, 4)}
        rows.append({"how": how, "engine": arguments.engine, "short": short, "long": long} | growth)
        print(
            f"{how:8}{arguments.engine:8}"
            + "".join(
                f"{one['frames']:>7} frames: {one['peak_mb']:7.1f} MB ({one['settled_mb']:.1f}), {one['seconds']:.0f} s"
                for one in (short, long)
            )
            + f"   growth {peak:+.1%} ({settled:+.1%})",
            flush=True,
        )
    print(json.dumps(rows))


def in_a_process(how: str, count: int, chosen: argparse.Namespace) -> dict[str, Any]:
    command = [sys.executable, __file__, "--one", how, "--clip", str(chosen.clip), "--engine", chosen.engine]
    command += ["--threads", str(chosen.threads), "--frames", str(count), "0"]
    result = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=os.environ)
    row: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return row


def measure(how: str, clip: Path, count: int, engine: Any) -> dict[str, Any]:
    sizes: list[float] = []
    threading.Thread(target=watch_size, args=(sizes,), daemon=True).start()
    with tempfile.TemporaryDirectory() as folder:
        since = time.perf_counter()
        HOW[how](clip, count, engine, Path(folder) / "masks.json")
        seconds = time.perf_counter() - since
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
    settled = statistics.median(sizes[len(sizes) // 2 :]) if sizes else float("nan")
    return {
        "frames": count,
        "peak_mb": round(peak, 1),
        "settled_mb": round(settled, 1),
        "seconds": round(seconds, 1),
    }


def watch_size(sizes: list[float]) -> None:
    """Samples of the resident size, MB: queues fill and empty, so the peak alone says little about growth."""
    statm = Path("/proc/self/statm")
    while statm.exists():
        sizes.append(int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6)
        time.sleep(0.2)


def run_python(clip: Path, count: int, engine: Any, out: Path) -> None:
    from masklet.formats import open_streams
    from masklet.tracking.tracker import Tracker

    with looped(clip, count) as source:
        tracker = Tracker(engine, source)
        for object_id, box in enumerate(boxes_xyxy(source), start=1):
            tracker.prompt(object_id, 0, box_xyxy=box)
        with open_streams(out, [], source) as streams:
            for masks in tracker.run():
                assert tracker.frame is not None
                streams.write(tracker.frame, masks)


def run_cli(clip: Path, count: int, engine: Any, out: Path) -> None:
    """The command itself, on a source that loops and an engine that is given."""
    from contextlib import redirect_stdout

    import masklet.api
    import masklet.media.source
    from masklet.cli import main as masklet_main

    masklet.api.load = lambda *_, **__: masklet.api.Model(engine)  # type: ignore[assignment]
    source = looped(clip, count)  # made before its own opener is put in the place of the usual one
    masklet.media.source.open_source = lambda *_, **__: source  # type: ignore[assignment]
    boxes = [f"{object_id}:{','.join(map(str, box))}" for object_id, box in enumerate(boxes_xyxy(source), start=1)]
    options = [part for box in boxes for part in ("--box", box)]
    with redirect_stdout(sys.stderr):
        status = masklet_main(
            ["track", str(clip), *options, "--out", str(out), "--save", str(out.with_suffix(".masklet"))]
        )
    assert status == 0


def run_discover(clip: Path, count: int, engine: Any, out: Path) -> None:
    """Objects found by a detector that sees the same 20 rectangles, the last one on every other key frame only."""
    from masklet.tracking.tracker import Tracker

    with looped(clip, count) as source, Tracker(engine, source) as tracker:
        rectangles = grid_masks(source.info.size_hw)
        calls = iter(range(count))

        def detect(rgb: Any) -> dict[str, Any]:
            seen = rectangles[: len(rectangles) - next(calls) % 2]
            return {"masks": seen, "scores": [0.9] * len(seen)}

        shown = 0
        for masks in tracker.discover(detect):
            shown = len(masks.object_ids)
        print(f"{shown} objects are shown on the last frame", file=sys.stderr)


def grid_masks(size_hw: tuple[int, int]) -> Any:
    """(20, H, W) rectangles apart from one another, in 4 rows of 5."""
    height, width = size_hw
    masks = np.zeros((20, height, width), np.bool_)
    for number, mask in enumerate(masks):
        top, left = number // 5 * height // 4, number % 5 * width // 5
        mask[top + height // 20 : top + height // 5, left + width // 25 : left + width // 6] = True
    return masks


HOW = {"python": run_python, "cli": run_cli, "discover": run_discover}
"""By name: tracking two boxes in Python or by the command line, or finding twenty objects."""


def looped(clip: Path, count: int) -> Any:
    """A clip played again and again, as a video of `count` frames: nothing is kept in memory but the clip's file."""
    from dataclasses import replace

    from masklet.media.base import BaseSource, VideoInfo
    from masklet.media.source import open_source
    from masklet.records import Frame

    inner = open_source(clip)
    length = inner.info.num_frames or 1

    class Looped(BaseSource):
        @property
        def info(self) -> VideoInfo:
            return replace(inner.info, num_frames=count, has_audio=False, path=None)

        def _read(self, start: int, stop: int | None, step: int) -> Generator[Frame, None, None]:
            index = start
            end = count if stop is None else min(stop, count)
            while index < end:
                for frame in inner.frames(index % length):
                    if index >= end:
                        return
                    yield replace(frame, index=index, time_s=index / inner.info.fps)
                    index += 1

        def frame(self, index: int) -> Frame:
            return replace(inner.frame(index % length), index=index, time_s=index / inner.info.fps)

    return Looped()


def boxes_xyxy(source: Any) -> list[list[int]]:
    height, width = source.info.size_hw
    return [[round(part * side) for part, side in zip(box, (width, height) * 2, strict=True)] for box in BOXES]


def engine_of(name: str, num_threads: int) -> Any:
    from masklet.engine.open import open_engine

    return Random() if name == "fake" else open_engine(name, num_threads=num_threads)


def _box_of(prompt: Any) -> Any:
    from masklet.masks.operations import mask_box_xyxy

    return prompt.box_xyxy if prompt.mask is None else mask_box_xyxy(prompt.mask)


class Random:
    """Arrays of nano's sizes in place of its answers."""

    low_res, channels, side, width = 96, 129, 24, 128

    def __init__(self) -> None:
        from masklet.records import EngineInfo

        self.info = EngineInfo("fake", 4 * self.low_res, 4, 8, "numpy", "cpu", "fp32")
        self._random = np.random.default_rng(0)
        self._noise: dict[tuple[int, ...], Any] = {}

    def encode_image(self, rgb: Any, *, in_video: bool = False) -> Any:
        from masklet.records import ImageFeatures

        return ImageFeatures({"embedding": self._array(self.width, self.side, self.side)}, rgb.shape[:2])

    def attend(self, features: Any, recalls: Any) -> Any:
        from masklet.records import Conditioned

        embeddings = tuple(features.arrays["embedding"] + 0 for _ in recalls)
        for embedding, recall in zip(embeddings, recalls, strict=True):
            embedding[0, 0, :4] = recall.pointers[0][1][:4] if recall.pointers else 0
        return Conditioned(embeddings, features)

    def decode(self, conditioned: Any, prompts: Any, *, multimask: bool | None = None) -> Any:
        height, width = conditioned.features.size_hw
        scale = self.low_res / np.array([width, height] * 2, np.float32)
        return [
            self._answer(embedding[0, 0, :4] if prompt is None else _box_of(prompt) * scale)
            for prompt, embedding in zip(prompts, conditioned.embeddings, strict=True)
        ]

    def _answer(self, box: Any) -> Any:
        """The box in low-res pixels is the mask, and goes on in the pointer."""
        from masklet.records import Decoded

        logits = self._array(1, self.low_res, self.low_res) - 6  # specks, as a poor mask has them
        left, top, right, bottom = np.rint(box).astype(int).tolist()
        logits[:, top:bottom, left:right] += 12
        pointer = self._array(self.width)
        pointer[:4] = box
        return Decoded(logits, (0.8,), 0, 6.0, (pointer,))

    def encode_memory(self, features: Any, decoded: Any, prompted: Any) -> Any:
        from masklet.records import FrameMemory

        return [FrameMemory(self._array(self.channels, self.side, self.side), one.pointer) for one in decoded]

    def to_numpy(self, array: Any) -> Any:
        return array

    def from_numpy(self, array: Any) -> Any:
        return array

    def _array(self, *shape: int) -> Any:
        """Memory of its own with the same noise each time: drawing it again would take a fifth of the run."""
        if shape not in self._noise:
            self._noise[shape] = self._random.standard_normal(shape, np.float32) * 2
        return self._noise[shape].copy()


if __name__ == "__main__":
    main()
