"""The demo of the README: cut an object out of a photo, follow one through a clip, and say how long each step took."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--media", type=Path, default=Path("examples/media"))
    parser.add_argument("--out", type=Path, default=Path("out/demo"))
    arguments = parser.parse_args()
    demo(arguments.media, arguments.out)


def demo(media: Path, out: Path) -> None:
    masklet = timed("import masklet", lambda: __import__("masklet"))
    model = timed("load nano (embedded, no download)", masklet.load)
    print(f"    {model}")

    from masklet.drawing import cutout, draw_overlay
    from masklet.images import read_image, write_image
    from masklet.records import Prompt
    from masklet.video.sink import OverlaySink

    out.mkdir(parents=True, exist_ok=True)
    rgb = read_image(media / "cat.jpg")
    image = timed("encode a photo (451 x 300)", lambda: model.segmenter().set_image(rgb))
    click = Prompt.create(points_xy=[(220, 170)], size_hw=image.size_hw)
    result = timed("one click on it", lambda: image.predict(click.points_xy, click.labels))
    overlay = draw_overlay(rgb, result.masks[:1], (1,), result.iou_predictions[:1], prompts={1: click})
    write_image(out / "cat.overlay.png", overlay)
    write_image(out / "cat.cutout.png", cutout(rgb, result.mask))

    tracker = model.tracker(media / "bunny.mp4")
    prompt = {"points_xy": [(430, 250)], "labels": [1]}
    tracker.prompt(object_id=1, frame_index=0, **prompt)
    info = tracker.source.info
    start, frames = time.perf_counter(), 0
    with OverlaySink(out / "bunny.mp4", info, prompts={0: {1: Prompt.create(**prompt)}}) as sink:
        for frame, masks in zip(tracker.source.frames(), tracker.run(), strict=True):
            sink.write(frame, masks)
            frames += 1
    seconds = time.perf_counter() - start
    print(f"{seconds:7.2f} s  track an object through {frames} frames ({frames / seconds:.1f} frames/s, video written)")

    print("\nLook at:")
    for path in sorted(out.iterdir()):
        print(f"  {path}")


def timed(what: str, work: Callable[[], T]) -> T:
    start = time.perf_counter()
    answer = work()
    print(f"{time.perf_counter() - start:7.2f} s  {what}")
    return answer


if __name__ == "__main__":
    main()
