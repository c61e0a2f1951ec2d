"""Cut an object out of a photo: one click, then a second one where the first answer was wrong.

python examples/segment_a_photo.py
python examples/segment_a_photo.py photo.jpg --point 500 375 --out out/
"""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path

import masklet
from masklet.formats.pictures import cut_out
from masklet.masks.drawing import draw_overlay
from masklet.media.images import read_image, write_image

MEDIA = Path(__file__).parent / "media"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = ArgumentParser(description="Cut an object out of a photo.")
    parser.add_argument("photo", nargs="?", type=Path, default=MEDIA / "coffee.jpg")
    parser.add_argument("--point", nargs=2, type=float, default=(290, 120), metavar=("X", "Y"), help="on the object")
    parser.add_argument("--more", nargs=2, type=float, default=(235, 262), metavar=("X", "Y"), help="on it, too")
    parser.add_argument("--out", type=Path, default=Path("out"))
    parser.add_argument("--model", default="nano", help="a name, a checkpoint or an exported folder")
    options = parser.parse_args(arguments)

    # A model holds no image: one serves any number of segmenters and trackers.
    model = masklet.load(options.model)
    rgb = read_image(options.photo)  # upright (H, W, 3) uint8, whatever the file was
    # set_image is the slow half, once per image; what it returns answers each prompt in a fraction of that time.
    image = model.segmenter().set_image(rgb)

    # A single click may mean a part, the whole or a group: three answers, the one the model trusts most first.
    first = image.predict(points_xy=[options.point], labels=[1])
    for mask, iou in zip(first.masks, first.iou_predictions, strict=True):
        print(f"candidate: {mask.mean():6.1%} of the image, predicted IoU {iou:.2f}")

    # A correction is all the clicks so far and the logits of the answer that they correct. Label 0 means "not this".
    points = [options.point, options.more]
    better = image.predict(points_xy=points, labels=[1, 1], previous_logits=first.low_res_logits[0])
    print(f"two clicks: {better.mask.mean():5.1%} of the image, predicted IoU {better.iou_predictions[0]:.2f}")

    # Masks have the size of the photo. Existing files are replaced.
    prompt = masklet.Prompt.create(points_xy=points, labels=[1, 1])
    overlay = draw_overlay(rgb, better.masks[:1], [1], better.iou_predictions[:1], prompts={1: prompt})
    for path in (
        write_image(options.out / f"{options.photo.stem}.overlay.jpg", overlay),
        write_image(options.out / f"{options.photo.stem}.cutout.png", cut_out(rgb, {1: better.mask})),
    ):
        print(f"wrote {path}")


if __name__ == "__main__":
    main()
