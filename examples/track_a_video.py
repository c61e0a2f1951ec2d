"""Follow an object through a clip from one click, and write the clip with the object drawn in.

python examples/track_a_video.py
python examples/track_a_video.py clip.mp4 --point 210 350 --out out/clip.mp4
"""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path

import masklet
from masklet.formats import open_streams
from masklet.media.source import open_source

MEDIA = Path(__file__).parent / "media"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = ArgumentParser(description="Follow an object through a clip.")
    parser.add_argument("clip", nargs="?", default=str(MEDIA / "bunny.mp4"), help="a file, a folder of frames, a URL")
    parser.add_argument("--point", nargs=2, type=float, default=(270, 260), metavar=("X", "Y"), help="on the object")
    parser.add_argument("--stop", type=int, help="end before this frame")
    parser.add_argument("--out", type=Path, default=Path("out/bunny.mp4"))
    parser.add_argument("--model", default="nano", help="a name, a checkpoint or an exported folder")
    options = parser.parse_args(arguments)

    model = masklet.load(options.model)
    # The overlay copies the audio, keeps the clock, and is playable even if the loop below is interrupted.
    with open_source(options.clip) as source, open_streams(options.out, ["overlay"], source, force=True) as streams:
        # One tracker per video. It keeps the last frame and what the next one reads, not the video.
        tracker = model.tracker(source)
        # A prompt waits until its frame comes; object ids are yours to choose.
        tracker.prompt(object_id=1, frame_index=0, points_xy=[options.point], labels=[1])
        # It can also run backward, or both ways from the prompts.
        for masks in tracker.run(stop=options.stop):
            streams.write(tracker.frame, masks)
            if not masks.frame_index % 10:
                # A score above 0 says that the object is in the frame; its mask is empty otherwise.
                print(
                    f"frame {masks.frame_index:3} at {masks.time_s:4.1f} s: {masks.mask(1).mean():6.1%} of the frame, "
                    f"object score {masks.object_scores[0]:5.1f}, predicted IoU {masks.iou_predictions[0]:.2f}"
                )
    print(f"wrote {options.out}")


if __name__ == "__main__":
    main()
