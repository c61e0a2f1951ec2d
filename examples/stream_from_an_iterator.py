"""Track in frames that your own code makes, one by one and without an end: a robot, a renderer, a queue.

python examples/stream_from_an_iterator.py
"""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from pathlib import Path

import masklet
from masklet.media.source import open_source
from masklet.records import ByteArray

MEDIA = Path(__file__).parent / "media"


def frames_of_yours(clip: str) -> Iterator[ByteArray]:
    """Stands for your code: any iterator of (H, W, 3) uint8 RGB frames of one size."""
    with open_source(clip) as source:
        for frame in source.frames():
            yield frame.rgb


def main(arguments: Sequence[str] | None = None) -> None:
    parser = ArgumentParser(description="Track in a stream of frames.")
    parser.add_argument("clip", nargs="?", default=str(MEDIA / "bunny.mp4"))
    parser.add_argument("--point", nargs=2, type=float, default=(270, 260), metavar=("X", "Y"), help="object 1")
    parser.add_argument("--box", nargs=4, type=float, default=(530, 183, 784, 290), help="object 2, on frame 2")
    parser.add_argument("--frames", type=int, default=20, help="leave after this many")
    parser.add_argument("--model", default="nano", help="a name, a checkpoint or an exported folder")
    options = parser.parse_args(arguments)

    # An iterator is read once and forward: frames are pulled as results are asked for, and none is kept.
    tracker = masklet.load(options.model).tracker(frames_of_yours(options.clip))
    tracker.prompt(object_id=1, points_xy=[options.point], labels=[1])  # on frame 0, the first to come
    for masks in tracker.run():
        areas = [f"object {i} {mask.mean():.1%}" for i, mask in zip(masks.object_ids, masks.masks, strict=True)]
        print(f"frame {masks.frame_index:2}: {', '.join(areas)}")
        if masks.frame_index == 2:
            # New objects may come at any time; a prompt on the frame just seen counts before the next one.
            tracker.prompt(object_id=2, frame_index=2, box_xyxy=options.box)
        elif masks.frame_index == 8:
            tracker.remove(object_id=2)  # forgets it altogether; its id is free again
        if masks.frame_index + 1 == options.frames:
            break


if __name__ == "__main__":
    main()
