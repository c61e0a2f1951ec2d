"""Speed of each effect: frames per second on one thread, by CPU time, so that a busy machine does not matter.

python -m benchmarks.render
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import cv2
import numpy as np

from masklet.media.source import open_source
from masklet.records import BoolArray, ByteArray
from masklet.render import EFFECTS, Composition, Renderer
from masklet.render.plate import CleanPlate

CLIP = Path(__file__).parents[1] / "examples" / "media" / "bunny.mp4"
SIZES = {"480p": (480, 854), "1080p": (1080, 1920)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--frames", type=int, default=12, help="of each effect and size")
    count = parser.parse_args().frames
    cv2.setNumThreads(1)
    with open_source(CLIP) as source:
        clip = [frame.rgb for frame in source.frames(0, count)]
    print(f"{'effect':24}" + "".join(f"{name:>10}" for name in SIZES))
    for effect in EFFECTS:
        if effect.id in ("video", "none"):
            continue
        row = [measure(effect.id, effect.target, [scaled(rgb, size) for rgb in clip]) for size in SIZES.values()]
        print(f"{effect.target + ' ' + effect.id:24}" + "".join(f"{rate:10.0f}" for rate in row))


def measure(effect_id: str, target: str, frames: list[ByteArray]) -> float:
    """Return the frames per second of one effect on an object that is a sixth of the picture, and moves."""
    size_hw = (frames[0].shape[0], frames[0].shape[1])
    effect = {"effect": effect_id} | ({"asset_id": "a"} if effect_id == "image" else {})
    look = {"background": effect} if target == "background" else {"objects": {"*": [effect]}}
    plate = CleanPlate(size_hw) if effect_id == "remove" else None
    trail = {1: np.linspace((0.2, 0.5), (0.5, 0.5), 36, dtype=np.float32) * np.float32(size_hw[1])}
    with Renderer(Composition.from_dict(look), size_hw, assets={"a": frames[0]}, plate=plate) as renderer:
        renderer.render(frames[0], {1: mask_at(0, size_hw)}, trails=trail)
        seconds = 0.0
        for index, rgb in enumerate(frames):
            mask = mask_at(index, size_hw)
            before = time.process_time()
            renderer.render(rgb, {1: mask}, trails=trail)
            seconds += time.process_time() - before
    return len(frames) / seconds


def mask_at(index: int, size_hw: tuple[int, int]) -> BoolArray:
    height, width = size_hw
    plane = np.zeros(size_hw, np.uint8)
    cv2.ellipse(
        plane, (width // 3 + index * width // 200, height // 2), (width // 7, height * 3 // 8), 0, 0, 360, 1, -1
    )
    mask: BoolArray = plane > 0
    return mask


def scaled(rgb: ByteArray, size_hw: tuple[int, int]) -> ByteArray:
    return np.asarray(cv2.resize(rgb, (size_hw[1], size_hw[0]), interpolation=cv2.INTER_CUBIC), np.uint8)


if __name__ == "__main__":
    main()
