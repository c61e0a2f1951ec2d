"""Track, look, correct one frame with a click, and continue tracking from there.

python examples/correct_a_track.py
python examples/correct_a_track.py clip.mp4 --point 210 350 --at 40 --more 180 300
"""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path

import masklet

MEDIA = Path(__file__).parent / "media"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = ArgumentParser(description="Correct a track with a click.")
    parser.add_argument("clip", nargs="?", default=str(MEDIA / "bunny.mp4"))
    parser.add_argument("--point", nargs=2, type=float, default=(270, 260), metavar=("X", "Y"), help="on frame 0")
    parser.add_argument("--at", type=int, default=30, help="the frame to be corrected")
    parser.add_argument("--more", nargs=2, type=float, default=(170, 65), metavar=("X", "Y"), help="a click on it")
    parser.add_argument("--not-this", action="store_true", help="that click is not on the object")
    parser.add_argument("--stop", type=int, help="end before this frame")
    parser.add_argument("--model", default="nano", help="a name, a checkpoint or an exported folder")
    options = parser.parse_args(arguments)

    model = masklet.load(options.model)
    # Going back needs the memories of every frame, not only those that the next frame reads.
    memory = masklet.MemoryConfig.for_engine(model.info, retention="editing")
    tracker = model.tracker(options.clip, memory=memory)
    tracker.prompt(object_id=1, frame_index=0, points_xy=[options.point], labels=[1])
    before = {masks.frame_index: masks.mask(1) for masks in tracker.run(stop=options.stop)}

    # A click on a frame that has been tracked corrects what was tracked, with its memory in view.
    tracker.prompt(1, options.at, points_xy=[options.more], labels=[0 if options.not_this else 1])
    # preview shows what the prompts on a frame give, and changes nothing; click again until you like it.
    shown = tracker.preview(options.at).mask(1)
    print(f"frame {options.at}: {before[options.at].mean():.1%} of the frame, {shown.mean():.1%} after the click")

    # The frames after it are tracked again from the correction, which stays remembered as a prompted frame.
    for masks in tracker.run(start=options.at, stop=options.stop):
        changed = (masks.mask(1) ^ before[masks.frame_index]).mean()
        print(f"frame {masks.frame_index}: {changed:.2%} of the pixels changed")


if __name__ == "__main__":
    main()
